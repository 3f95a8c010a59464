//! The program, and what a run of it came to.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Output;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Nothing is waited for so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Threads that the program has beside those that hash, at most. ThreadSanitizer has one of its own.
pub(crate) const OTHER_THREADS: usize = if cfg!(concourse_tsan) { 7 } else { 6 };

/// `cargo test` builds the examples beside the tests; `cargo test --test progress_bar` does not, and would test an old one.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/progress_bar");
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    // What the program was made of, as cargo has noted it; spaces in names are escaped.
    let noted = fs::read_to_string(program.with_extension("d")).unwrap_or_default().replace("\\ ", "\0");
    let sources = noted.split_once(": ").map_or("", |(_, sources)| sources).split_whitespace();
    let newest = sources.filter_map(|source| changed(Path::new(&source.replace('\0', " "))).ok()).max();
    let up_to_date = changed(&program).is_ok_and(|built| newest.is_some_and(|newest| built >= newest));
    assert!(up_to_date, "first: cargo build --example progress_bar, with the flags of this test");
    program
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl Run {
    pub(crate) fn lines(&self) -> Vec<&str> {
        std::str::from_utf8(&self.stdout).unwrap().lines().collect()
    }

    /// A number of the last JSON line.
    pub(crate) fn summary(&self, field: &str) -> f64 {
        number(self.stderr.lines().last().unwrap(), field).unwrap()
    }
}

/// A number in a line of JSON; none if it is `null`.
pub(crate) fn number(line: &str, field: &str) -> Option<f64> {
    let (_, value) = line.split_once(&format!("\"{field}\":"))?;
    value.split([',', '}']).next()?.parse().ok()
}

/// Polls until `what` gives something, or panics.
pub(crate) fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn is_over(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_some()
}
