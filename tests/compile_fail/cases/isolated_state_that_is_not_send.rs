//! A job of the queue may run on any thread.

use concourse::{Isolated, Queue};
use std::rc::Rc;

fn main() {
    let _ = Isolated::new(Queue::serial("state"), Rc::new(1));
}
