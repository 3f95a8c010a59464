//! No reference to isolated state leaves its queue, neither as a value nor by a variable outside.

use concourse::{Isolated, Queue};

fn main() {
    let state = Isolated::new(Queue::serial("state"), vec![1]);
    let _first: &i32 = state.exec_sync(|numbers| &numbers[0]);
    let mut kept = None;
    state.exec_sync(|numbers| kept = Some(numbers));
}
