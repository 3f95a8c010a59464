//! Where the digests go, and what is said beside them when there is no terminal.

use crate::program::Run;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use std::fs;
use std::fs::File;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

#[test]
fn without_a_terminal_there_are_plain_lines_and_no_control_characters() {
    let scratch = Scratch::new();
    scratch.file("a\u{1b}[2J", &bytes(1, 2 << 20));
    scratch.file("b", &bytes(2, 1 << 20));
    for style in ["auto", "bar"] {
        let run = scratch.run(&format!("--progress {style} --throttle 1 --plain-every 500ms ."));
        assert_eq!(run.code, Some(0));
        assert!(!run.stderr.contains(['\u{1b}', '\r']), "{:?}", run.stderr);
        let lines: Vec<_> = run.stderr.lines().collect();
        assert!(lines.len() >= 3, "{lines:?}");
        assert!(lines[lines.len() - 2].starts_with("100.0 %  3.0 MiB of 3.0 MiB · 2 of 2 files"), "{lines:?}");
        assert!(lines[lines.len() - 1].starts_with("2 files  3.0 MiB  "), "{lines:?}");
        assert_eq!(run.stdout.split(|&byte| byte == b'\n').count(), 3);
    }
}

#[test]
fn a_short_job_without_a_terminal_says_nothing() {
    let scratch = Scratch::new();
    scratch.file("a", b"x");
    for style in ["auto", "bar", "plain", "none"] {
        let started = Instant::now();
        let run = scratch.run(&format!("--progress {style} ."));
        assert_eq!((run.code, run.lines().len()), (Some(0), 1));
        // On a busy machine no job is short.
        assert!(run.stderr.is_empty() || started.elapsed() >= Duration::from_secs(2), "{}", run.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_with_a_message() {
    let scratch = Scratch::new();
    scratch.small_files(500);
    // Gone before the program begins, or the whole list might lie in the pipe by then.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = Run::from(scratch.program("--queue-depth 8 .").stdout(writer).output().unwrap());
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (Some(1), "progress_bar: standard output: Broken pipe (os error 32)\n")
    );

    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = Run::from(scratch.program(".").stdout(full).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("standard output: No space left on device"), "{}", run.stderr);
}

#[test]
fn an_output_file_is_replaced_whole_and_is_never_part_of_its_own_list() {
    let scratch = Scratch::new();
    scratch.file("a", b"x");
    scratch.file("sums", b"old");
    let run = scratch.run("-o sums .");
    assert_eq!((run.code, run.stderr.as_str(), run.stdout.len()), (Some(0), "", 0));
    let sums = fs::read_to_string(scratch.0.join("sums")).unwrap();
    assert_eq!(sums, format!("{}  ./a\n", blake3::hash(b"x").to_hex()));
    let mut names: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "sums"]);

    let redirected = File::create(scratch.0.join("redirected")).unwrap();
    let status = scratch.program("--exclude sums .").stdout(redirected).status().unwrap();
    assert_eq!((status.code(), fs::read_to_string(scratch.0.join("redirected")).unwrap()), (Some(0), sums));

    let run = scratch.run("-o nowhere/sums .");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("progress_bar: nowhere/sums: No such file"), "{}", run.stderr);
}
