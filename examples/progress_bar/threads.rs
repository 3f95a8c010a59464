//! The threads that everything runs on, and the end of the program when a job panics on one of them.

use crate::way_out::WayOut;
use concourse::PanicReport;
use concourse::Runtime;
use concourse::RuntimeError;
use std::sync::Arc;

/// Threads beside those that hash, one for each serial queue: `print`, `ui` and `control`. So none of them ever waits for
/// a file to be through.
const SERIAL_QUEUES: usize = 3;

/// What a Rust program ends with when it panics.
const PANICKED: u8 = 101;

/// A runtime on which `jobs` files can be hashed at the same time. If anything panics on it, the program takes the way out.
pub(crate) fn runtime(jobs: usize, way_out: &Arc<WayOut>) -> Result<Runtime, RuntimeError> {
    let threads = jobs + SERIAL_QUEUES;
    let way_out = Arc::clone(way_out);
    // No thread stands in for one that waits for the disk: more than so many files are never open.
    Runtime::builder()
        .threads(threads)
        .max_threads(threads)
        .name("progress-bar")
        .on_panic(move |report| give_up(report, &way_out))
        .build()
}

/// The runtime has contained the panic and would go on, but a result is missing now: nothing behind it could be written.
fn give_up(report: &PanicReport<'_>, way_out: &WayOut) -> ! {
    let why = format_args!("a job of the queue \"{}\" panicked: {}", report.label, report.message);
    way_out.at_once(PANICKED, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_process::play;
    use crate::scratch::Scratch;
    use concourse::Group;
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn a_panic_in_a_job_ends_the_program_and_leaves_nothing_behind() {
        let name = "threads::tests::a_panic_in_a_job_ends_the_program_and_leaves_nothing_behind";
        let scratch = Scratch::new();
        let leftover = scratch.file("leftover", b"half of it");
        let variable = "PROGRESS_BAR_LEFTOVER";
        let Some(child) = play(name, &format!("export {variable}='{}'", leftover.display())) else {
            let leftover = std::env::var_os(variable).map(PathBuf::from);
            let runtime = runtime(1, &Arc::new(WayOut::new(None, leftover))).unwrap();
            let hash = runtime.queue("hash").concurrent().width(1).build().unwrap();
            hash.exec_async(|| panic!("the file is haunted"));
            // Nobody ever leaves: what ends this in time is the end of the program.
            let never = Group::new();
            never.enter_raw();
            assert!(never.wait_timeout(Duration::from_secs(60)).is_ok(), "the program goes on");
            return;
        };
        let stderr = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.code(), Some(i32::from(PANICKED)), "{stderr}");
        let message = "progress_bar: a job of the queue \"hash\" panicked: the file is haunted\n";
        assert!(stderr.contains(message), "{stderr}");
        assert!(!leftover.exists());
    }
}
