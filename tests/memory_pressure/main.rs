//! Sources of memory pressure, against the kernel's own account of it.
//!
//! A stall is made by having the kernel page out a file that is in use, and reading it again: that waits for memory in the
//! kernel's sense, needs no privilege and takes no memory from anybody. Where the kernel keeps no account of pressure, or
//! the file lies where nothing is paged out to, the tests that need a stall have nothing to hold, and say so.

mod refused;
mod stall;
mod told;

use concourse::Runtime;
use concourse::Shutdown;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// The whole system's account.
const MEMORY: &str = "/proc/pressure/memory";

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("pressure").build().unwrap()
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// Waits for something that another thread or the kernel does.
#[track_caller]
fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the system has such an account at all.
fn has_pressure(file: &str) -> bool {
    let there = std::fs::read(Path::new(file)).is_ok();
    if !there {
        println!("nothing to hold: this kernel has no {file}");
    }
    there
}
