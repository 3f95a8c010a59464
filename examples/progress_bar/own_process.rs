//! Tests that need a process of their own, as they end it or take something away from it.

use std::env;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

const CHILD: &str = "PROGRESS_BAR_CHILD";

/// Runs the test `name` once more, in a process that the shell command `prepare` has made ready, and gives what became of
/// it. In that process it gives `None`.
pub(crate) fn play(name: &str, prepare: &str) -> Option<Output> {
    if env::var_os(CHILD).is_some() {
        return None;
    }
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{prepare}; exec \"$@\"")).arg("sh").arg(env::current_exe().unwrap());
    shell.args(["--exact", name, "--nocapture"]).env(CHILD, "1").stdin(Stdio::null());
    let output = shell.output().unwrap();
    // A name that is wrong, as after a renaming, would test nothing.
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("running 1 test\n"), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Some(output)
}
