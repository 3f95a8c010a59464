//! Readers of a concurrent queue run side by side.

use concourse::{Isolated, Queue};
use std::cell::Cell;

fn main() {
    let state = Isolated::new(Queue::concurrent("state"), Cell::new(1));
    state.read(|number| number.set(2));
}
