//! Where a queue runs is settled when it is activated.

use concourse::Queue;

fn main() {
    let (active, other) = (Queue::serial("active"), Queue::serial("other"));
    let _ = active.set_target(&other);
}
