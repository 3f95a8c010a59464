//! The value of a task comes to another thread.

use concourse::Queue;
use std::rc::Rc;

fn main() {
    let _ = Queue::serial("tasks").submit(|| Rc::new(1));
}
