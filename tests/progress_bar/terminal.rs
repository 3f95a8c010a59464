//! On a terminal: keys, and what is left alone.

use crate::pty::Pty;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use rustix::process::Signal;
use std::fs;
use std::thread;
use std::time::Duration;

/// Waits until the bar is there, in the place of the spinner that counts, and keys arrive one by one.
#[track_caller]
pub(crate) fn wait_for_bar(pty: &mut Pty) {
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
