//! The signals that a terminal and its shell send, and how the terminal is left behind each.

use crate::program::wait_for;
use crate::pty::Pty;
use crate::scratch::Scratch;
use crate::terminal::wait_for_bar;
use rustix::process::Signal;
use rustix::process::kill_process;
use std::fs;
use std::thread;
use std::time::Duration;

#[test]
fn s_and_sigquit_leave_a_line_above_the_bar() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let mut pty = Pty::run(&scratch.program("--throttle 8 ."));
    wait_for_bar(&mut pty);
    pty.press("p");
    pty.wait_for_text("paused");
    for count in 1..=2 {
        // Ctrl-\ is typed as this character.
        pty.press(["s", "\u{1c}"][count - 1]);
        let status = |line: &str| line.contains(" % ") && line.contains(" of 4.0 GiB") && line.ends_with("paused");
        pty.wait_for("status", |pty| {
            (pty.contents().lines().filter(|line| status(line)).count() == count).then_some(())
        });
    }
    let contents = pty.contents();
    assert!(contents.lines().last().unwrap().starts_with(|c: char| c.is_ascii_digit()), "{contents}");
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
}

#[test]
fn every_way_to_cancel_leaves_the_terminal_as_it_was() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let ways: [(&str, Option<Signal>, u8); 5] = [
        ("q", None, 130),
        ("\u{3}", None, 130),
        ("", Some(Signal::INT), 130),
        ("", Some(Signal::TERM), 143),
        ("", Some(Signal::HUP), 129),
    ];
    for (keys, signal, code) in ways {
        for paused in [false, true] {
            let mut pty = Pty::run(&scratch.program("--throttle 8 -o sums ."));
            wait_for_bar(&mut pty);
            if paused {
                pty.press("p");
                pty.wait_for_text("paused");
            }
            pty.press(keys);
            if let Some(signal) = signal {
                pty.signal(signal);
            }
            assert_eq!(pty.wait_for_end(), code, "{keys:?} {signal:?} {paused}");
            assert!(pty.is_as_found());
            assert!(!pty.received().contains("\u{1b}[?25l"), "the cursor was never hidden");
            assert_eq!(pty.received().matches("cancelled | merges").count(), 1);
            assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
        }
    }
}

#[test]
fn the_second_time_cancels_at_once_though_nobody_takes_the_output() {
    let scratch = Scratch::new();
    scratch.small_files(2000);
    // The digests go to a pipe that is never read, and are more than fit in.
    let script = r#"mkfifo pipe; exec 3<>pipe; "$@" >pipe; echo "ended with $?"; read line"#;
    let mut pty = Pty::run_script(script, &scratch.program("--exclude pipe ."));
    pty.wait_for_text("files · ");
    pty.wait_for("standstill", |pty| {
        let contents = pty.contents();
        thread::sleep(Duration::from_millis(300));
        (contents == pty.contents()).then_some(())
    });
    let program = pty.program();
    kill_process(program, Signal::INT).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(!pty.contents().contains("ended with"), "{}", pty.contents());
    // Signals that come before the first is taken are one with it.
    pty.wait_for("end", |pty| {
        let _ = kill_process(program, Signal::INT);
        pty.contents().contains("ended with").then_some(())
    });
    assert_eq!(pty.wait_for_end(), 130);
    assert!(pty.is_as_found());
}

#[test]
fn whoever_reads_the_digests_from_a_pipe_has_the_keys() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let script = r#""$@" | { read keys </dev/tty; echo "the reader has $keys" >&2; }; echo "over"; read line"#;
    let mut pty = Pty::run_script(script, &scratch.program("--throttle 8 ."));
    pty.wait_for_text("files · ");
    assert!(pty.is_as_found());
    pty.press("pq\n");
    pty.wait_for_text("the reader has pq");
    assert!(!pty.contents().contains("paused"), "{}", pty.contents());
    // Ctrl-C would reach the reader and the shell as well.
    pty.signal(Signal::TERM);
    pty.wait_for_text("over");
}

#[test]
fn the_terminal_is_left_while_the_program_is_stopped_and_entered_when_it_goes_on() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let script = r#""$@"; echo "stopped with $?"; read line; fg >/dev/null; echo "ended with $?"; read line"#;
    let mut pty = Pty::run_script(script, &scratch.program("--throttle 8 ."));
    wait_for_bar(&mut pty);
    // Ctrl-Z is typed as this character.
    pty.press("\u{1a}");
    pty.wait_for_text("stopped with ");
    assert!(pty.is_as_found());
    let above = pty.contents();
    pty.press("\n");
    wait_for_bar(&mut pty);
    pty.press("p");
    pty.wait_for_text("paused");
    let contents = pty.contents();
    let [bars, kept] = [contents.matches(" of 4.0 GiB").count(), contents.matches("stopped with ").count()];
    assert_eq!((bars, kept), (2, 1), "the old bar stays above, before it was:\n{above}\nnow:\n{contents}");
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
    assert!(pty.is_as_found());
}

#[test]
fn a_job_in_the_background_leaves_keys_and_terminal_alone_until_it_is_fetched() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let script = r#""$@" & read line; echo "read $line"; fg >/dev/null; echo "ended with $?"; read line"#;
    let mut pty = Pty::run_script(script, &scratch.program("--throttle 8 ."));
    pty.wait_for_text("files · ");
    assert!(pty.is_as_found());
    // Nobody but the shell gets this.
    pty.press("pq\n");
    pty.wait_for_text("read pq");
    wait_for_bar(&mut pty);
    pty.press("p");
    pty.wait_for_text("paused");
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
    assert!(pty.is_as_found());
}

#[test]
fn a_terminal_that_becomes_narrower_has_the_bar_drawn_anew() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let mut pty = Pty::run(&scratch.program("--throttle 8 ."));
    wait_for_bar(&mut pty);
    pty.press("p");
    pty.wait_for_text("paused");
    let width = |text: &str| {
        text.lines()
            .filter(|line| line.contains('━') || line.contains('─'))
            .map(|line| line.chars().count())
            .next_back()
    };
    assert_eq!(width(&pty.contents()), Some(100));
    let before = pty.received().len();
    pty.resize(60);
    pty.wait_for("new bar", |pty| pty.received()[before..].contains("paused").then_some(()));
    let drawn = pty.received()[before..].to_owned();
    let bar = drawn.chars().filter(|c| matches!(c, '━' | '╸' | '─')).count();
    assert!((20..60).contains(&bar), "{bar} in {drawn:?}");
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
}

#[test]
fn a_terminal_that_is_gone_ends_the_program_and_leaves_no_output() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let mut pty = Pty::run(&scratch.program("--throttle 8 -o sums ."));
    wait_for_bar(&mut pty);
    let process = pty.program().as_raw_nonzero();
    pty.hang_up();
    // Whoever waits for it by now may leave it a zombie, and that has no files.
    let runs = || fs::read_dir(format!("/proc/{process}/fd")).is_ok_and(|files| files.count() > 0);
    wait_for("end", || (!runs()).then_some(()));
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
}
