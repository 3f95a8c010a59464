//! A handler takes what its source collects.

use concourse::{Queue, Source};

fn main() {
    let queue = Queue::serial("events");
    let _ = Source::add(&queue).on_event(|text: String| drop(text)).activate();
}
