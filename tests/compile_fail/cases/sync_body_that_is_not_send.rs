//! A sync call may be run by another thread, the owner of a target for instance.

use concourse::Queue;
use std::rc::Rc;

fn main() {
    let number = Rc::new(1);
    Queue::serial("sync").exec_sync(|| drop(number.clone()));
}
