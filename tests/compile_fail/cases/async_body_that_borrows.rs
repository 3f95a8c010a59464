//! It may run when the caller has returned. A sync call may borrow.

use concourse::Queue;

fn main() {
    let numbers = vec![1, 2];
    Queue::serial("async").exec_async(|| println!("{numbers:?}"));
}
