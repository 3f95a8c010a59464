//! The calls of a parallel loop run side by side: what they borrow is shared.

use concourse::Queue;
use std::cell::Cell;

fn main() {
    let cell = Cell::new(0);
    Queue::concurrent("apply").apply(4, |n| cell.set(n));
}
