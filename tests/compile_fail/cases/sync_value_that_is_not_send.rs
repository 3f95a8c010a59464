//! Likewise for what it returns.

use concourse::Queue;
use std::rc::Rc;

fn main() {
    Queue::serial("sync").exec_sync(|| Rc::new(1));
}
