//! In GCD a barrier on a global queue silently is none.

use concourse::{GlobalQueue, Qos};

fn main() {
    let queue = GlobalQueue::get(Qos::Default);
    queue.barrier_async(|| ());
    queue.barrier_sync(|| ());
}
