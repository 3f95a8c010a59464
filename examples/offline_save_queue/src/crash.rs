//! Named points at which a test ends the process as abruptly as `kill -9` would.
//!
//! With the feature `crash_points`, the environment variable `OSQ_CRASH=NAME` ends the process when it comes to the point
//! of that name, and `OSQ_CRASH=NAME:3` when it comes there for the third time. Without the feature [`point`] is empty.

/// Ends the process here, if the test wants that.
#[cfg(not(feature = "crash_points"))]
#[inline(always)]
pub(crate) fn point(_: &str) {}

/// Ends the process here, if the test wants that.
#[cfg(feature = "crash_points")]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    static WANTED: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let wanted = std::env::var("OSQ_CRASH").ok()?;
        let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), AtomicU32::new(times.parse().ok()?)))
    });
    if let Some((wanted, left)) = &*WANTED {
        // Relaxed: it is a count and orders nothing.
        if wanted == name && left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}
