//! On a terminal: keys, the signals that a terminal sends, and how the terminal is left.

use crate::program::wait_for;
use crate::pty::Pty;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use rustix::process::Signal;
use std::fs;
use std::thread;
use std::time::Duration;

/// Waits until the bar is there, in the place of the spinner that counts, and keys arrive one by one.
#[track_caller]
fn wait_for_bar(pty: &mut Pty) {
    pty.wait_for("bar", |pty| pty.contents().lines().last()?.contains(" of ").then_some(()));
    pty.wait_for("keys", |pty| (!pty.is_as_found()).then_some(()));
}

#[test]
fn p_and_space_pause_and_go_on() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let mut pty = Pty::run(&scratch.program("--throttle 8 ."));
    wait_for_bar(&mut pty);
    for key in ["p", " "] {
        pty.press(key);
        pty.wait_for_text("paused");
        let still = pty.contents();
        thread::sleep(Duration::from_millis(300));
        assert_eq!(pty.contents(), still);
        pty.press(key);
        pty.wait_for_text("left");
        assert!(!pty.contents().contains("paused"), "{}", pty.contents());
    }
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
    let contents = pty.contents();
    assert!(contents.contains("cancelled | merges ") && contents.contains(" · paused 2× "), "{contents}");
}

#[test]
fn fifty_random_pauses_change_neither_the_digests_nor_the_sum() {
    let scratch = Scratch::new();
    scratch.small_files(2000);
    scratch.file("large", &bytes(1, 3 << 20));
    let expected = scratch.run("--progress none .").stdout;
    let mut pty = Pty::run(&scratch.program("-j 2 --fps 60 --throttle 2 --exclude sums -o sums ."));
    wait_for_bar(&mut pty);
    let random = bytes(2026, 50);
    for (round, random) in random.into_iter().enumerate() {
        // Twice at once is no pause, or two.
        pty.press(["p", " ", "pp", "p p"][usize::from(random % 4)]);
        match round % 5 {
            0 => drop(pty.contents()),
            _ => thread::sleep(Duration::from_millis(u64::from(random / 16))),
        }
    }
    let toggles: usize = bytes(2026, 50).into_iter().map(|random| [1, 1, 2, 3][usize::from(random % 4)]).sum();
    if toggles % 2 == 1 {
        pty.press("p");
    }
    assert_eq!(pty.wait_for_end(), 0);
    let contents = pty.contents();
    assert!(contents.contains("100.0 % "), "{contents}");
    assert!(contents.contains(&format!(" · paused {}× ", toggles.div_ceil(2))), "{toggles} keys: {contents}");
    assert!(fs::read(scratch.0.join("sums")).unwrap() == expected);
}

#[test]
fn minus_and_plus_change_how_many_files_are_open() {
    let scratch = Scratch::new();
    for i in 0..100 {
        scratch.file(format!("tree/{i:02}"), &bytes(i, 100_000));
    }
    let tree = scratch.0.join("tree").canonicalize().unwrap();
    let mut pty = Pty::run(&scratch.program("-j 3 --throttle 1 tree"));
    wait_for_bar(&mut pty);
    pty.wait_for("three files", |pty| (pty.open_files(&tree) == 3).then_some(()));
    // One too many: there is always one job.
    pty.press("---");
    pty.wait_for_text("1 job");
    pty.wait_for("one file", |pty| (pty.open_files(&tree) == 1).then_some(()));
    pty.press("+");
    pty.wait_for_text("2 jobs");
    pty.wait_for("two files", |pty| (pty.open_files(&tree) == 2).then_some(()));
    pty.press("+++");
    pty.wait_for("three files", |pty| (pty.open_files(&tree) == 3).then_some(()));
    pty.wait_for("no number", |pty| (!pty.contents().contains(" jobs")).then_some(()));
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
}

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
    pty.press("\u{3}");
    thread::sleep(Duration::from_millis(200));
    assert!(!pty.contents().contains("ended with"), "{}", pty.contents());
    pty.press("\u{3}");
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
fn a_stop_that_cannot_be_caught_does_no_harm() {
    let scratch = Scratch::new();
    scratch.endless_file();
    let script =
        r#""$@"; echo "stopped with $?"; stty sane; read line; fg >/dev/null; echo "ended with $?"; read line"#;
    let mut pty = Pty::run_script(script, &scratch.program("--throttle 8 ."));
    wait_for_bar(&mut pty);
    pty.signal(Signal::STOP);
    pty.wait_for_text("stopped with ");
    pty.press("\n");
    wait_for_bar(&mut pty);
    pty.press("p");
    pty.wait_for_text("paused");
    pty.press("q");
    assert_eq!(pty.wait_for_end(), 130);
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
fn errors_that_go_to_a_file_have_plain_lines_in_them_and_the_terminal_is_not_touched() {
    let scratch = Scratch::new();
    scratch.file("tree/a", &bytes(1, 3 << 20));
    let script = r#""$@" 2>errors >sums; echo "ended with $?"; read line"#;
    let mut pty = Pty::run_script(script, &scratch.program("--throttle 1 --plain-every 500ms tree"));
    // Nothing but the shell writes here, and nothing changes the terminal while the program runs.
    pty.program();
    let code = pty.wait_for("end", |pty| {
        assert!(pty.is_as_found());
        pty.contents().strip_prefix("ended with ").map(str::to_owned)
    });
    assert_eq!(code, "0");
    let errors = fs::read_to_string(scratch.0.join("errors")).unwrap();
    assert!(!errors.contains(['\u{1b}', '\r']) && errors.lines().count() >= 3, "{errors:?}");
    assert_eq!(fs::read_to_string(scratch.0.join("sums")).unwrap().lines().count(), 1);
}
