//! Two polls of a future may be on two threads.

use concourse::Queue;
use std::future::ready;
use std::rc::Rc;

fn main() {
    let _ = Queue::serial("tasks").spawn(async {
        let kept = Rc::new(1);
        ready(()).await;
        drop(kept);
    });
}
