//! Queues that are busy until a test lets them go.

use concourse::Dispatch;
use concourse::Event;

/// Keeps a queue busy until the event is set; returns when that job runs.
pub(crate) fn occupy(queue: &impl Dispatch) -> Event {
    let (begun, go) = (Event::new(), Event::new());
    let (tell, wait) = (begun.clone(), go.clone());
    queue.exec_async(move || {
        tell.set();
        wait.wait();
    });
    begun.wait();
    go
}
