//! Everybody uses the global queues and the main queue: nobody may stop them.

use concourse::{GlobalQueue, Qos};

fn main() {
    let global = GlobalQueue::get(Qos::Default);
    let _ = global.suspend();
    let _ = global.suspend_guard();
    let _ = concourse::main_queue().suspend();
}
