//! What the kernel says of this process.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

/// What threads have used so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    /// How often one of them went to sleep or was made to wait.
    pub(super) switches: u64,
    threads: usize,
}

impl Usage {
    /// Of all threads that live.
    pub(super) fn of_all() -> Self {
        Self::of(|_| true)
    }

    /// Of all threads but the first, which measures.
    pub(super) fn of_others() -> Self {
        let first = std::process::id().to_string();
        Self::of(|thread| thread != first)
    }

    fn of(is_counted: impl Fn(&str) -> bool) -> Self {
        let threads = fs::read_dir("/proc/self/task").expect("a process may list its threads");
        threads
            .map(|thread| thread.expect("a process may list its threads"))
            .filter(|thread| thread.file_name().to_str().is_some_and(&is_counted))
            .map(|thread| Self::of_thread(&thread.path()))
            .fold(Self::default(), |sum, one| Self {
                cpu: sum.cpu + one.cpu,
                switches: sum.switches + one.switches,
                threads: sum.threads + one.threads,
            })
    }

    fn of_thread(directory: &Path) -> Self {
        let read = |name| fs::read_to_string(directory.join(name)).expect("no thread ends while it is measured");
        let nanoseconds = read("schedstat").split(' ').next().and_then(|figure| figure.parse().ok());
        let status = read("status");
        Self {
            cpu: Duration::from_nanos(nanoseconds.expect("the kernel keeps scheduler statistics")),
            switches: field(&status, "voluntary_ctxt_switches") + field(&status, "nonvoluntary_ctxt_switches"),
            threads: 1,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    /// Panics if a thread has ended in between: what it used is not known any more.
    fn sub(self, before: Self) -> Self {
        assert!(self.threads >= before.threads, "a thread has ended, and its figures with it");
        Self {
            cpu: self.cpu - before.cpu,
            switches: self.switches - before.switches,
            threads: self.threads - before.threads,
        }
    }
}

/// How many threads there are.
pub(super) fn threads() -> u64 {
    field(&read("/proc/self/status"), "Threads")
}

/// How many bytes of memory are in use. Unlike the figure in `status`, the rollup's is exact.
pub(super) fn resident() -> u64 {
    field(&read("/proc/self/smaps_rollup"), "Rss") * 1_024
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("a process may read what is said of it")
}

/// The number in the line that begins with `name:`.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .expect("the kernel writes the field")
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "nonvoluntary_ctxt_switches:\t3\nThreads_of_others:\t9\nThreads:\t2\nRss:   1736 kB\n";
        assert_eq!(["Threads", "Rss"].map(|name| field(text, name)), [2, 1_736]);
    }
}
