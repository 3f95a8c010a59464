//! Files that cannot be read, and files that change.

use crate::program::Run;
use crate::program::number;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use std::fs;
use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::process::Stdio;

#[test]
fn what_cannot_be_read_is_listed_and_the_rest_is_done() {
    let scratch = Scratch::new();
    scratch.file("empty", b"");
    scratch.file("full", b"content");
    symlink("nowhere", scratch.0.join("dangling")).unwrap();
    symlink(".", scratch.0.join("loop")).unwrap();
    // A regular file without a size, whose first read fails for everybody.
    let run = scratch.run("--follow --progress json . /proc/self/mem missing");
    assert_eq!(run.code, Some(1));
    let names: Vec<_> = run.lines().iter().map(|line| &line[66..]).collect();
    assert_eq!(names, ["./empty", "./full"]);
    assert!(run.lines()[0].starts_with(blake3::hash(b"").to_hex().as_str()));
    let failures: Vec<_> = run.stderr.lines().filter(|line| line.contains("\"event\":\"failure\"")).collect();
    let failed_names = ["./dangling", "./loop", "/proc/self/mem", "missing"];
    assert_eq!(failures.len(), failed_names.len(), "{}", run.stderr);
    for (failure, name) in failures.iter().zip(failed_names) {
        assert!(failure.contains(&format!("\"path\":\"{name}\"")), "{failure}");
    }
    assert_eq!((run.summary("failed"), run.summary("files"), run.summary("percent")), (4.0, 2.0, 100.0));
    assert_eq!((run.summary("bytes_total"), run.summary("bytes_delivered")), (7.0, 7.0));

    let unfollowed = scratch.run("--progress none .");
    assert_eq!((unfollowed.code, unfollowed.lines().len(), unfollowed.stderr.as_str()), (Some(0), 2, ""));
}

#[test]
fn a_file_without_permission_fails_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    scratch.file("open", b"content");
    let closed = scratch.file("closed", b"content");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Permissions do not bind root.
    let may_read_all = File::open(&closed).is_ok();
    let run = scratch.run("--progress json .");
    let (code, files) = if may_read_all { (0, 2.0) } else { (1, 1.0) };
    assert_eq!((run.code, run.summary("files"), run.summary("percent")), (Some(code), files, 100.0), "{}", run.stderr);
}

#[test]
fn files_that_grow_shrink_or_vanish_while_they_wait_leave_the_bar_at_100_percent() {
    let scratch = Scratch::new();
    scratch.file("0 first", &bytes(0, 1 << 20));
    for name in ["1 grows", "2 shrinks", "3 vanishes", "4 stays"] {
        scratch.file(name, &bytes(1, 100_000));
    }
    let command = &mut scratch.program("-j 1 --fps 60 --throttle 1 --progress json .");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    // Once the total is known the walk is over, and the first file takes a second.
    while number(text.lines().last().unwrap_or(""), "bytes_total").is_none() {
        assert_ne!(stderr.read_line(&mut text).unwrap(), 0, "{text}");
    }
    scratch.file("1 grows", &bytes(2, 150_000));
    scratch.file("2 shrinks", &bytes(3, 30_000));
    fs::remove_file(scratch.0.join("3 vanishes")).unwrap();
    stderr.read_to_string(&mut text).unwrap();
    let mut run = Run::from(child.wait_with_output().unwrap());
    run.stderr = text;

    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let hex = |content: &[u8]| blake3::hash(content).to_hex().to_string();
    let expected = [
        format!("{}  ./0 first", hex(&bytes(0, 1 << 20))),
        format!("{}  ./1 grows", hex(&bytes(2, 150_000))),
        format!("{}  ./2 shrinks", hex(&bytes(3, 30_000))),
        format!("{}  ./4 stays", hex(&bytes(1, 100_000))),
    ];
    assert_eq!(run.lines(), expected);
    let size = f64::from((1 << 20) + 150_000 + 30_000 + 100_000);
    for field in ["bytes_hashed", "bytes_delivered", "bytes_total"] {
        assert_eq!(run.summary(field), size, "{field}: {}", run.stderr);
    }
    assert_eq!((run.summary("percent"), run.summary("failed")), (100.0, 1.0));
}
