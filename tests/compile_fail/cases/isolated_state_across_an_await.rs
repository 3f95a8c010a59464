//! A reference to isolated state is not held while a future waits: there is no way to await inside.

use concourse::{Isolated, Queue};

fn main() {
    let state = Isolated::new(Queue::serial("state"), 1);
    state.exec_async(|number| {
        async {}.await;
        *number += 1;
    });
}
