//! What the options do.

use crate::program::Run;
use crate::scratch::Scratch;
use std::fs;
use std::fs::File;
use std::process::Stdio;

#[test]
fn a_check_tells_what_matches_what_does_not_and_what_is_no_sum() {
    let scratch = Scratch::new();
    scratch.file("tree/a", b"one");
    scratch.file("tree/new\nline", b"two");
    assert_eq!(scratch.run("tree -o sums").code, Some(0));
    let run = scratch.run("--check sums");
    assert_eq!((run.code, run.lines()), (Some(0), vec!["tree/a: OK", "\\tree/new\\nline: OK"]), "{}", run.stderr);

    scratch.file("tree/a", b"changed");
    let run = scratch.run("--check sums");
    assert_eq!((run.code, run.lines()), (Some(3), vec!["tree/a: FAILED", "\\tree/new\\nline: OK"]));

    fs::remove_file(scratch.0.join("tree/a")).unwrap();
    let run = scratch.run("--check sums");
    assert_eq!((run.code, run.lines()), (Some(1), vec!["\\tree/new\\nline: OK"]));
    assert!(run.stderr.starts_with("progress_bar: tree/a: No such file"), "{}", run.stderr);

    let mut sums = fs::read(scratch.0.join("sums")).unwrap();
    sums.extend(b"this is no sum\n");
    scratch.file("sums", &sums);
    scratch.file("tree/a", b"one");
    let run = scratch.run("--check sums");
    assert_eq!((run.code, run.lines().len()), (Some(1), 2));
    assert_eq!(run.stderr, "progress_bar: sums: line 3 is malformed\n");

    let input = File::open(scratch.0.join("sums")).unwrap();
    let run = Run::from(scratch.program("--check -").stdin(input).output().unwrap());
    assert_eq!((run.code, run.lines().len()), (Some(1), 2), "{}", run.stderr);
    assert_eq!(scratch.run("--check nowhere").code, Some(1));
}

#[test]
fn trees_are_pruned_by_exclude() {
    let scratch = Scratch::new();
    for name in ["keep", "drop.o", "target/x", "sub/target/y", "sub/keep"] {
        scratch.file(name, b"x");
    }
    let run = scratch.run("--exclude *.o --exclude target .");
    let names: Vec<_> = run.lines().iter().map(|line| &line[66..]).collect();
    assert_eq!((run.code, names), (Some(0), vec!["./keep", "./sub/keep"]));
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let scratch = Scratch::new();
    for arguments in ["", "--fps 0 .", "--algo md5 .", "--no-such-option .", "--check sums .", "-j none ."] {
        let run = scratch.run(arguments);
        assert_eq!((run.code, run.stdout.len()), (Some(2), 0), "{arguments:?}");
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains("--help"), "{}", run.stderr);
    }
    let run = scratch.run("--help");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.lines().iter().any(|line| line.contains("--queue-depth <N>")));
}

#[test]
fn every_demo_is_in_the_help_and_comes_to_its_end() {
    let scratch = Scratch::new();
    let help = scratch.run("--help");
    // All at the same time, as most of what they do is to sleep.
    let spawn =
        |number| scratch.program(&format!("--demo {number}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let demos = [1, 2, 3, 4, 5, 6, 7].map(|number| (number, spawn(number).unwrap()));
    let last_words = [
        "producers: Hundred, drawing: 50 ms, units 100, ",
        "producers: Hundred, drawing: 0 ms, units 100, ",
        ": second task",
        "paused: Source, ",
        "the semaphore is gone",
        "without the semaphore: ",
        " of 20000 before the barrier",
    ];
    for ((number, child), last_words) in demos.into_iter().zip(last_words) {
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "demo {number}");
        let (first, last) = (run.lines()[0], run.lines()[run.lines().len() - 1]);
        let title = first.split_once("  main      ").unwrap().1;
        assert!(help.lines().contains(&format!("  {number}  {title}").as_str()), "{title}");
        assert!(last.contains(last_words), "{last}");
    }
}
