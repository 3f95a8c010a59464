//! The example `progress_bar`, run as a user runs it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);

/// A new directory, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("progress-bar-process-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // Left by a process of the same number that did not come to its end.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.0.join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `many` small files of 100 bytes.
    fn small_files(&self, many: usize) {
        for i in 0..many {
            self.file(format!("{:02}/{i:04}", i % 20), &bytes(i as u64, 100));
        }
    }

    fn program(&self, arguments: &str) -> Command {
        let mut command = Command::new(program());
        command.current_dir(&self.0).args(arguments.split_whitespace()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &str) -> Run {
        Run::from(self.program(arguments).output().unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `cargo test` builds the examples beside the tests; `cargo test --test progress_bar` does not, and would test an old one.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/progress_bar");
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    // What the program was made of, as cargo has noted it; spaces in names are escaped.
    let noted = fs::read_to_string(program.with_extension("d")).unwrap_or_default().replace("\\ ", "\0");
    let sources = noted.split_once(": ").map_or("", |(_, sources)| sources).split_whitespace();
    let newest = sources.filter_map(|source| changed(Path::new(&source.replace('\0', " "))).ok()).max();
    let up_to_date = changed(&program).is_ok_and(|built| newest.is_some_and(|newest| built >= newest));
    assert!(up_to_date, "first: cargo build --example progress_bar, with the flags of this test");
    program
}

struct Run {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl Run {
    fn lines(&self) -> Vec<&str> {
        std::str::from_utf8(&self.stdout).unwrap().lines().collect()
    }

    /// A number of the last JSON line.
    fn summary(&self, field: &str) -> f64 {
        number(self.stderr.lines().last().unwrap(), field).unwrap()
    }
}

/// A number in a line of JSON; none if it is `null`.
fn number(line: &str, field: &str) -> Option<f64> {
    let (_, value) = line.split_once(&format!("\"{field}\":"))?;
    value.split([',', '}']).next()?.parse().ok()
}

/// Bytes that look random and are the same each time.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Polls until `what` gives something, or panics.
fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn is_over(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_some()
}

/// 2 000 files of all sizes around the edges of a chunk, and with all the names that need care.
fn varied_tree() -> (Scratch, BTreeMap<PathBuf, Vec<u8>>) {
    const KIB: usize = 1024;
    let scratch = Scratch::new();
    let mut contents = BTreeMap::new();
    let mut add = |name: &OsStr, content: Vec<u8>| {
        scratch.file(Path::new("tree").join(name), &content);
        contents.insert(Path::new("tree").join(name), content);
    };
    let sizes = [0, 1, 2, 64, 1023, 1024, 1025, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1];
    for i in 0..1980 {
        add(format!("{:02}/{i}", i % 30).as_ref(), bytes(i as u64, sizes[i % sizes.len()]));
    }
    for (i, edge) in [256 * KIB, 512 * KIB, 1024 * KIB, 5000 * KIB].into_iter().enumerate() {
        for size in [edge - 1, edge, edge + 1] {
            add(format!("large/{size}").as_ref(), bytes(i as u64, size));
        }
    }
    let names: [&[u8]; 8] = [
        b"with space",
        b"back\\slash",
        b"new\nline",
        b"carriage\rreturn",
        b"not utf-8 \xff\xfe",
        b"escape \x1b[31m",
        b"  leading spaces",
        b"-dash",
    ];
    for name in names {
        add(OsStr::from_bytes(name), name.to_vec());
    }
    assert_eq!(contents.len(), 2000);
    (scratch, contents)
}

fn expected_blake3_lines(contents: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<u8> {
    let mut lines = Vec::new();
    // A map of paths is sorted by components, which is the order of the walk.
    for (path, content) in contents {
        let name = path.as_os_str().as_bytes();
        let mut escaped = Vec::new();
        for &byte in name {
            match byte {
                b'\\' => escaped.extend(b"\\\\"),
                b'\n' => escaped.extend(b"\\n"),
                b'\r' => escaped.extend(b"\\r"),
                _ => escaped.push(byte),
            }
        }
        if escaped != name {
            lines.push(b'\\');
        }
        lines.extend(blake3::hash(content).to_hex().as_bytes());
        lines.extend(b"  ");
        lines.extend(escaped);
        lines.push(b'\n');
    }
    lines
}

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
        assert_eq!((run.summary("files"), run.summary("percent")), (2000.0, 100.0));
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
    assert_eq!((run.code, run.summary("files"), run.summary("percent")), (Some(0), 2000.0, 100.0), "{}", run.stderr);
}

#[test]
fn every_run_is_exact_also_with_the_smallest_queue() {
    let scratch = Scratch::new();
    scratch.small_files(200);
    let expected = scratch.run("--progress none -j 1 .").stdout;
    for round in 0..30 {
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
        let run = scratch.run(&format!("--progress {style} ."));
        assert_eq!((run.code, run.stderr.as_str(), run.lines().len()), (Some(0), "", 1));
    }
}

#[test]
fn no_more_files_are_open_than_jobs_and_no_more_threads_than_promised() {
    for jobs in [1, 2, 5] {
        let scratch = Scratch::new();
        for i in 0..24 {
            scratch.file(format!("tree/{i}"), &bytes(i, 50_000));
        }
        let tree = scratch.0.join("tree").canonicalize().unwrap();
        let mut child = scratch.program(&format!("-j {jobs} --throttle 1 tree")).stdout(Stdio::null()).spawn().unwrap();
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        let (mut most_open, mut most_threads) = (0, 0);
        wait_for("end", || {
            let links = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            let open = links.filter_map(|fd| fs::read_link(fd.path()).ok()).filter(|to| to.parent() == Some(&tree));
            most_open = open.count().max(most_open);
            most_threads = fs::read_dir(process.join("task")).map_or(0, Iterator::count).max(most_threads);
            is_over(&mut child).then_some(())
        });
        assert_eq!(most_open, jobs);
        assert!((1..=jobs + 6).contains(&most_threads), "{most_threads} threads for {jobs} jobs");
    }
}

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

    let unfollowed = scratch.run(".");
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

#[test]
fn a_reader_that_goes_away_ends_the_program_with_a_message() {
    let scratch = Scratch::new();
    scratch.small_files(500);
    // Gone before the program begins, or the whole list might lie in the pipe by then.
    let (reader, writer) = io::pipe().unwrap();
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
