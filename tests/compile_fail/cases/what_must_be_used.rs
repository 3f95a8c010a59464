//! What does nothing when it is dropped on the spot, or ends.
#![deny(unused_must_use)]

use concourse::{Queue, Source};

fn main() {
    let queue = Queue::serial("unused");
    Queue::builder("never built");
    Source::add(&queue);
    Source::add(&queue).activate();
    Source::add(&queue).stream();
    queue.submit(|| 1);
}
