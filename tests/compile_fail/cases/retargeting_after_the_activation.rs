//! The activation takes the inactive queue.

use concourse::{Queue, QueueBuilder};

fn late(builder: QueueBuilder, other: &Queue) {
    let inactive = builder.build_inactive().unwrap();
    let _active = inactive.activate();
    let _ = inactive.set_target(other);
}

fn main() {
    late(Queue::builder("late"), &Queue::serial("other"));
}
