//! Digests, and the sums that every run shows.

use crate::profile;
use crate::program::number;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use crate::scratch::expected_blake3_lines;
use crate::scratch::varied_tree;
use std::process::Command;

#[test]
fn digests_are_byte_for_byte_those_of_blake3_and_every_sum_agrees() {
    let (scratch, contents) = varied_tree();
    let expected = expected_blake3_lines(&contents);
    let size: usize = contents.values().map(Vec::len).sum();
    // One merge a chunk of 256 KiB.
    let merges: usize = contents.values().map(|content| content.len().div_ceil(256 << 10)).sum();
    for jobs in [1, 2, 8] {
        let run = scratch.run(&format!("-j {jobs} --progress json tree"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout == expected, "with {jobs} jobs");
        for field in ["bytes_hashed", "bytes_delivered", "bytes_total"] {
            assert_eq!(run.summary(field), size as f64, "{field}: {}", run.stderr);
        }
        assert_eq!((run.summary("files"), run.summary("percent")), (contents.len() as f64, 100.0));
        assert_eq!(run.summary("merges"), merges as f64);
        assert!(run.summary("handler_calls") <= 10.0 * run.summary("elapsed").ceil() + 2.0, "{}", run.stderr);
    }
}

#[test]
fn sha256sum_accepts_the_sums() {
    let (scratch, contents) = varied_tree();
    for jobs in [1, 2, 8] {
        let run = scratch.run(&format!("-j {jobs} --algo sha256 -o sums --progress none tree"));
        assert_eq!((run.code, run.stdout.as_slice()), (Some(0), &b""[..]), "{}", run.stderr);
        let check = Command::new("sha256sum").args(["--check", "--strict", "sums"]).current_dir(&scratch.0).output();
        let check = check.unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        assert_eq!(check.stdout.split(|&byte| byte == b'\n').count() - 1, contents.len());
    }
    let run = scratch.run("--algo sha256 --check sums --progress json");
    assert_eq!(
        (run.code, run.summary("files"), run.summary("percent")),
        (Some(0), contents.len() as f64, 100.0),
        "{}",
        run.stderr
    );
}

#[test]
fn every_run_is_exact_also_with_the_smallest_queue() {
    let scratch = Scratch::new();
    scratch.small_files(200);
    let expected = scratch.run("--progress none -j 1 .").stdout;
    for round in 0..profile::count(30, 100) {
        let run = scratch.run(&format!("--progress json --fps 60 -j 4 --queue-depth {} .", round % 3 + 1));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(run.stdout, expected);
        for field in ["bytes_hashed", "bytes_delivered", "bytes_total"] {
            assert_eq!(run.summary(field), 20_000.0, "{field}: {}", run.stderr);
        }
        assert_eq!(run.summary("percent"), 100.0);
    }
}

#[test]
fn a_tree_that_is_larger_than_the_queue_is_counted_ahead() {
    let scratch = Scratch::new();
    for i in 0..40 {
        scratch.file(format!("{i:02}"), &bytes(i, 25_000));
    }
    let run = scratch.run("-j 1 --queue-depth 2 --fps 60 --throttle 1 --progress json .");
    let known_at = run.stderr.lines().find(|line| number(line, "bytes_total") == Some(1_000_000.0)).unwrap();
    assert!(number(known_at, "files").unwrap() < 30.0, "{known_at}");
    assert_eq!(run.summary("bytes_total"), 1_000_000.0);
}
