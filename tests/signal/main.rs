//! Signal sources, with real signals. Dispositions belong to the process and signals end it, so every scenario runs in a
//! process of its own: this program again, with the scenario's name. What sends signals is a process of its own too.
//!
//! `cargo test --test signal` runs all scenarios, `cargo test --test signal -- NAME` those whose names contain NAME.
#![allow(unsafe_code, reason = "signals are sent, and dispositions read, with libc's calls")]

mod arrivals;
mod disposition;
mod graceful;
mod life;
mod process;
mod refused;

use process::Ended;
use std::env;
use std::process::ExitCode;
use std::time::Instant;

/// A name, what runs under it in a process of its own, and how that process is to end.
type Scenario = (&'static str, fn(), Ended);

/// Told to LeakSanitizer, where it is linked: a process that a signal ends, or that forks, leaves what it has.
#[unsafe(no_mangle)]
extern "C" fn __lsan_is_turned_off() -> libc::c_int {
    1
}

fn scenarios() -> Vec<Scenario> {
    [arrivals::SCENARIOS, disposition::SCENARIOS, graceful::SCENARIOS, life::SCENARIOS, refused::SCENARIOS].concat()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--scenario", name] => run_alone(name),
        ["--send", ref how @ ..] => process::send(how),
        _ if arguments.iter().any(|argument| argument == "--list") => list(&arguments),
        _ => return run_all(&arguments),
    }
    ExitCode::SUCCESS
}

/// What cargo-nextest asks a test program.
fn list(arguments: &[String]) {
    if !arguments.iter().any(|argument| argument == "--ignored") {
        scenarios().iter().for_each(|(name, ..)| println!("{name}: test"));
    }
}

fn run_alone(name: &str) {
    // SAFETY: it ends a process that hangs, by a signal that no scenario expects to end one.
    unsafe { libc::alarm(120) };
    let (_, scenario, _) = scenarios().into_iter().find(|(known, ..)| *known == name).unwrap();
    scenario();
}

fn run_all(arguments: &[String]) -> ExitCode {
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    let names: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| {
        names.is_empty() || names.iter().any(|part| if is_exact { name == *part } else { name.contains(*part) })
    };
    let (mut passed, mut failed) = (0, 0);
    for (name, _, expected) in scenarios() {
        if !is_wanted(name) {
            continue;
        }
        let start = Instant::now();
        let ended = process::this_program(&["--scenario", name]).ended();
        let took = start.elapsed().as_millis();
        if ended == expected {
            passed += 1;
            println!("test {name} ... ok ({took} ms)");
        } else {
            failed += 1;
            println!("test {name} ... FAILED: {ended:?}, not {expected:?} ({took} ms)");
        }
    }
    println!("test result: {}. {passed} passed; {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
