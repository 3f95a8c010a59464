//! Waiting for a future on a thread.

use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::Ticket;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

/// Polls `future` on the calling thread until it is ready, and returns its value.
///
/// Between two polls the thread sleeps until the future is woken; on a worker of a [`Runtime`](crate::Runtime) it does not
/// keep a core from other work. On a queue: `queue.exec_sync(|| block_on(future))`. It may be nested, and works beside any
/// other executor.
///
/// # Panics
///
/// If the future does: the panic goes on in the caller.
///
/// ```
/// let queue = concourse::Queue::serial("answers");
/// let answer = queue.submit(|| 42);
/// assert_eq!(concourse::block_on(async { answer.await.map(|n| n + 1) }), Ok(43));
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    loop {
        let ticket = Ticket::new();
        let waker = Waker::from(Arc::clone(&ticket));
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        // Without a deadline there is no way out but a wake.
        let _ = ticket.wait(&Reason::Completion, None);
    }
}
