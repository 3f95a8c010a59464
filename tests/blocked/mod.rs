//! Threads that are known to wait.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

/// Runs `wait` on a thread of its own and returns as soon as that thread sleeps in it.
pub(crate) fn spawn_blocked<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        // Linux names the calling thread by a link: "PID/task/TID".
        tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        wait()
    });
    let status = std::path::Path::new("/proc").join(told.recv().unwrap()).join("stat");
    let deadline = Instant::now() + GENEROUS;
    // The state follows the name, which ends with the last parenthesis.
    while !std::fs::read_to_string(&status).unwrap().rsplit(") ").next().unwrap().starts_with('S') {
        assert!(Instant::now() < deadline, "the thread does not go to sleep");
        thread::yield_now();
    }
    thread
}
