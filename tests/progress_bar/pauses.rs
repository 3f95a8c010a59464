//! What stands still in a pause, and what goes on. SIGUSR1 begins and ends it, as `p` does.

use crate::live::Live;
use crate::profile;
use crate::program::OTHER_THREADS;
use crate::program::number;
use crate::program::program;
use crate::program::wait_for;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const MIB: u64 = 1 << 20;
/// What the program reads for itself: an eventfd, a timer.
const ITS_OWN: u64 = 4096;

/// Files of 100,000 bytes, which take a tenth of a second each at 1 MiB/s.
fn many_files(scratch: &Scratch) -> PathBuf {
    for i in 0..20 {
        scratch.file(format!("tree/{i:02}"), &bytes(i, 100_000));
    }
    scratch.0.join("tree").canonicalize().unwrap()
}

fn start(scratch: &Scratch, arguments: &str) -> Live {
    Live::start(scratch.program(&format!("--progress json --fps 60 {arguments}")).stdout(Stdio::null()))
}

#[test]
fn a_pause_with_a_gate_stops_in_the_middle_of_a_file_and_goes_on_there() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let mut live = start(&scratch, "-j 2 --throttle 8 .");
    live.wait_for_bytes();
    let asked_at = Instant::now();
    live.pause();
    thread::sleep(Duration::from_millis(100).saturating_sub(asked_at.elapsed()));
    let soon = live.bytes_read();
    let paused_at = live.bytes_read_at_rest();
    assert!(!profile::is_full() || soon == paused_at, "{} bytes after a tenth of a second", paused_at - soon);
    live.lines();
    let cpu = live.cpu_ticks();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(live.bytes_read(), paused_at);
    // A tick is a hundredth of a second; one is for the looking.
    let ticks = live.cpu_ticks() - cpu;
    assert!(ticks <= 1, "{ticks}");
    assert_eq!((live.lines(), live.open_files(&scratch.0)), (Vec::<String>::new(), 1));
    let asked_at = Instant::now();
    live.signal(Signal::USR1);
    wait_for("a read", || (live.bytes_read() > paused_at + ITS_OWN).then_some(()));
    assert!(asked_at.elapsed() <= profile::tolerance(Duration::from_millis(50)), "{:?}", asked_at.elapsed());
    wait_for("reads", || (live.bytes_read() > paused_at + MIB).then_some(()));
    live.signal(Signal::TERM);
    let (code, lines) = live.end();
    let summary = lines.last().unwrap();
    assert_eq!((code, number(summary, "pauses")), (Some(143), Some(1.0)), "{summary}");
    assert!(number(summary, "paused").unwrap() >= 1.0 && summary.contains("\"cancelled\":true"), "{summary}");
    assert_eq!(number(summary, "bytes_delivered"), number(summary, "bytes_hashed"), "{summary}");
}

#[test]
fn a_pause_of_the_queue_ends_the_files_that_are_open_and_begins_no_other() {
    let scratch = Scratch::new();
    let tree = many_files(&scratch);
    for mode in ["queue", "both"] {
        let mut live = start(&scratch, &format!("-j 2 --throttle 1 --pause-mode {mode} tree"));
        live.wait_for_bytes();
        let paused = live.pause();
        let at_first = live.bytes_read();
        let at_rest = live.bytes_read_at_rest();
        assert!(at_rest - at_first <= 2 * 100_000 + ITS_OWN, "{at_first} {at_rest}");
        assert_eq!(live.open_files(&tree), 0);
        let shown = live.lines().len();
        assert!(mode == "queue" || shown == 0, "{shown} frames while the bar stands still");
        live.signal(Signal::USR1);
        let (code, lines) = live.end();
        let summary = lines.last().unwrap();
        let sums = ["percent", "files", "bytes_delivered", "bytes_total"].map(|field| number(summary, field));
        assert_eq!((code, sums), (Some(0), [100.0, 20.0, 2_000_000.0, 2_000_000.0].map(Some)), "{paused} {summary}");
    }
}

#[test]
fn a_pause_of_the_bar_alone_lets_the_work_go_on_and_the_bar_jump() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let mut live = start(&scratch, "-j 1 --throttle 16 --pause-mode=source .");
    live.wait_for_bytes();
    let frozen_at = number(&live.pause(), "bytes").unwrap();
    let read = live.bytes_read();
    wait_for("reads", || (live.bytes_read() > read + 8 * MIB).then_some(()));
    assert_eq!(live.lines(), Vec::<String>::new(), "frames while the bar stands still");
    live.signal(Signal::USR1);
    let jumped_to = number(&live.line("frame", |_| true), "bytes").unwrap();
    assert!(jumped_to >= frozen_at + 7.0 * MIB as f64, "{frozen_at} {jumped_to}");
    live.signal(Signal::INT);
    let (code, lines) = live.end();
    let summary = lines.last().unwrap();
    assert_eq!((code, number(summary, "bytes_delivered")), (Some(130), number(summary, "bytes_hashed")), "{summary}");
}

#[test]
fn work_that_ends_while_only_the_bar_is_paused_ends_the_pause() {
    let scratch = Scratch::new();
    scratch.file("a", &bytes(1, 3_000_000));
    let mut live = start(&scratch, "-j 1 --throttle 1 --pause-mode source .");
    live.wait_for_bytes();
    live.pause();
    let (code, lines) = live.end();
    let summary = lines.last().unwrap();
    assert_eq!((code, number(summary, "percent"), number(summary, "pauses")), (Some(0), Some(100.0), Some(1.0)));
    assert_eq!(number(summary, "bytes_delivered"), Some(3_000_000.0), "{summary}");
}

#[test]
fn no_more_threads_are_there_in_a_pause_than_before() {
    let scratch = Scratch::new();
    many_files(&scratch);
    for jobs in [1, 3] {
        let live = start(&scratch, &format!("-j {jobs} --throttle 1 tree"));
        live.wait_for_bytes();
        live.pause();
        live.bytes_read_at_rest();
        assert!(live.threads() <= jobs + OTHER_THREADS, "{} threads for {jobs} jobs", live.threads());
    }
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let scratch = Scratch::new();
    scratch.file("a", &bytes(1, 500_000));
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]).arg(program());
    shell.args(["--progress", "json", "--throttle", "1", "."]);
    let mut live = Live::start(shell.current_dir(&scratch.0).stdout(Stdio::null()));
    live.wait_for_bytes();
    live.signal(Signal::HUP);
    live.signal(Signal::INT);
    let (code, lines) = live.end();
    assert_eq!(code, Some(0), "{lines:?}");
}

#[test]
fn every_way_to_cancel_has_its_exit_code_and_leaves_no_output() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let names = || fs::read_dir(&scratch.0).unwrap().count();
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        for paused in [None, Some("gate"), Some("queue"), Some("both"), Some("source")] {
            let mode = paused.unwrap_or("gate");
            let mut live = start(&scratch, &format!("-j 2 --throttle 2 -o sums --pause-mode {mode} ."));
            live.wait_for_bytes();
            if paused.is_some() {
                live.pause();
            }
            assert_eq!(names(), 2, "the output is under way");
            let asked_at = Instant::now();
            live.signal(signal);
            let (ended_with, lines) = live.end();
            assert!(asked_at.elapsed() <= profile::tolerance(Duration::from_millis(250)), "{:?}", asked_at.elapsed());
            let summaries = lines.iter().filter(|line| line.contains("\"event\":\"summary\"")).count();
            assert_eq!((ended_with, summaries, names()), (Some(code), 1, 1), "{signal:?} {paused:?} {lines:?}");
        }
    }
}
