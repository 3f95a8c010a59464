//! Holds the tree against the tables of `src/ARCHITECTURE.md`, by reading text: what imports what, what lives where,
//! and what no file may say. Each rule has a test over the tree, and one that shows it a bad sample, so that a rule
//! that has gone blind is noticed.

#[path = "architecture/text.rs"]
mod text;

use std::fs;
use std::path::Path;
use text::{Class, File, is_word, word};

/// The repository, or a sample of one.
struct Tree {
    files: Vec<File>,
    page: String,
}

/// What is wrong, where, and what to do about it.
type Findings = Vec<String>;

impl Tree {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let (path, name) = (entry.path(), entry.file_name());
                if name == "target" || name == ".git" {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = fs::read_to_string(&path) {
                    let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    files.push(File { path, text });
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files, page: page() }
    }

    /// A tree of one file, judged by the real page.
    fn sample(path: &str, text: &str) -> Self {
        Self { files: vec![File { path: path.to_owned(), text: text.to_owned() }], page: page() }
    }

    /// The library's sources.
    fn library(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.starts_with("src/") && file.path.ends_with(".rs"))
    }

    /// The rows of the page's table whose head starts with these cells.
    fn table(&self, head: &str) -> Vec<Vec<&str>> {
        let rows = self.page.lines().skip_while(|line| !line.starts_with(head)).skip(2);
        let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).collect();
        rows.iter().map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
    }
}

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ARCHITECTURE.md")).unwrap()
}

/// The words that stand between backticks in a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Each module with its row and its place in the row.
fn layers(tree: &Tree) -> Vec<(String, (usize, usize))> {
    let mut layers = Vec::new();
    for (row, cells) in tree.table("| layer | modules |").iter().enumerate() {
        for (place, group) in cells[1].split(',').enumerate() {
            layers.extend(quoted(group).map(|module| (module.to_owned(), (row, place))));
        }
    }
    assert!(!layers.is_empty(), "src/ARCHITECTURE.md has lost its layer table");
    layers
}

fn modules_without_a_layer(tree: &Tree) -> Findings {
    let layers = layers(tree);
    let listed = |module: &str| layers.iter().any(|(name, _)| name == module);
    let files = tree.library().filter(|file| !matches!(file.module(), "lib" | "models") && !listed(file.module()));
    files.map(|file| format!("{}: give `{}` a place in the layer table", file.path, file.module())).collect()
}

fn upward_imports(tree: &Tree) -> Findings {
    let layers = layers(tree);
    let place = |module: &str| layers.iter().find(|(name, _)| name == module).map(|(_, place)| *place);
    let mut findings = Vec::new();
    for file in tree.library().filter(|file| file.path != "src/lib.rs") {
        let (code, own) = (file.product(), file.module());
        let depth = file.path.trim_end_matches("/mod.rs").matches('/').count();
        // From a file this deep, that many `super` are the crate's root.
        let root = "super::".repeat(depth);
        for (at, place_in_file) in file.places(&code, "crate::").chain(file.places(&code, &root)) {
            let is_crate = code[at..].starts_with("crate::");
            let target = word(code[at..].trim_start_matches(if is_crate { "crate::" } else { &root }));
            match (place(target), place(own)) {
                (Some((row, _)), Some((own_row, _))) if target == own || row < own_row => {}
                (Some((row, left)), Some((own_row, own_left))) if row == own_row && left < own_left => {}
                (Some(_), _) => findings.push(format!(
                    "{place_in_file}: `{own}` may not import `{target}`: move the code up, or define a trait below"
                )),
                (None, _) if is_crate => findings.push(format!(
                    "{place_in_file}: `crate::{target}`: write one path per `use`, from the module that defines the item"
                )),
                (None, _) => {}
            }
        }
    }
    findings
}

fn state_imports(tree: &Tree) -> Findings {
    let mut findings = Vec::new();
    for file in tree.library().filter(|file| file.path.ends_with("/state.rs")) {
        let code = file.product();
        for (at, place) in ["crate::", "super::"].iter().flat_map(|start| file.places(&code, start)) {
            if !code[at..].starts_with("crate::bits") && !code[at..].starts_with("crate::sync") {
                findings.push(format!(
                    "{place}: a state word imports nothing of this crate but `crate::bits` and `crate::sync`"
                ));
            }
        }
    }
    findings
}

fn long_files(tree: &Tree) -> Findings {
    let long = tree.library().map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > 500);
    long.map(|(file, lines)| format!("{}: {lines} lines; over 500, split it by concept", file.path)).collect()
}

/// Finds `words` outside the homes that the page's table gives to `what`.
fn strays(tree: &Tree, what: &str, words: &[&str]) -> Findings {
    let rows = tree.table("| what | homes |");
    let row = rows.iter().find(|row| row[0] == what).unwrap_or_else(|| panic!("no homes for {what}"));
    let at_home = |path: &str| {
        quoted(row[1]).any(|home| match home.strip_prefix('*') {
            Some(end) => path.ends_with(end),
            None if home.ends_with('/') => path.starts_with(home),
            None => path == home,
        })
    };
    let mut findings = Vec::new();
    for file in tree.library().filter(|file| !at_home(&file.path["src/".len()..])) {
        let code = if what == "`unsafe`" { file.only(Class::Code) } else { file.product() };
        for word in words {
            for (_, place) in file.places(&code, word) {
                findings.push(format!("{place}: `{word}` lives in {} ({}): move this code there", row[1], row[2]));
            }
        }
    }
    findings
}

fn stray_unsafe(tree: &Tree) -> Findings {
    strays(tree, "`unsafe`", &["unsafe", "unsafe_code"])
}

fn stray_orderings(tree: &Tree) -> Findings {
    let orders = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst", "{", "*"];
    let orders = orders.map(|order| format!("Ordering::{order}"));
    strays(tree, "memory orderings", &orders.each_ref().map(String::as_str))
}

fn stray_statics(tree: &Tree) -> Findings {
    strays(tree, "statics and thread-locals", &["static", "thread_local"])
}

fn stray_platforms(tree: &Tree) -> Findings {
    let words = ["target_os", "cfg(unix", "cfg(windows", "RawFd", "AsRawFd", "FromRawFd", "IntoRawFd", "from_raw_fd"];
    strays(tree, "platforms and raw descriptors", &words)
}

fn stray_catches(tree: &Tree) -> Findings {
    strays(tree, "catching panics", &["catch_unwind"])
}

fn stray_machinery(tree: &Tree) -> Findings {
    let std = ["std::sync", "std::thread", "core::sync", "std::{"];
    let crates = ["parking_lot", "crossbeam_deque", "crossbeam_utils", "crossbeam_epoch", "loom", "shuttle"];
    strays(tree, "machine threads and locks", &[&std[..], &crates[..]].concat())
}

/// All files but this one, which has to spell what it bans.
fn everything(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| file.path != "tests/architecture.rs")
}

fn unfinished_business(tree: &Tree) -> Findings {
    let mut findings = Vec::new();
    for file in everything(tree) {
        for word in ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"] {
            findings
                .extend(file.places(&file.text, word).map(|(_, place)| format!("{place}: {word}: do it, or drop it")));
        }
    }
    findings
}

fn empty_type_names(tree: &Tree) -> Findings {
    let banned = ["Manager", "Helper", "Util", "Utils", "Inner", "Core", "Impl", "Data", "Info"];
    let mut findings = Vec::new();
    for file in everything(tree).filter(|file| file.path.ends_with(".rs")) {
        let code = file.only(Class::Code);
        for keyword in ["struct ", "enum ", "trait ", "union ", "type "] {
            for (at, place) in file.places(&code, keyword) {
                let name = word(code[at + keyword.len()..].trim_start());
                if let Some(part) = camel_words(name).into_iter().find(|part| banned.contains(part)) {
                    findings.push(format!("{place}: `{name}`: \"{part}\" says nothing; name what the type is"));
                }
            }
        }
    }
    findings
}

/// `WaitGraph` as `Wait`, `Graph`.
fn camel_words(name: &str) -> Vec<&str> {
    let mut starts: Vec<_> = name.match_indices(char::is_uppercase).map(|(at, _)| at).collect();
    starts.push(name.len());
    starts.windows(2).map(|pair| &name[pair[0]..pair[1]]).collect()
}

/// The edges that comments of the library cite, `E4` for example, with their places.
fn citations(tree: &Tree) -> Vec<(String, String)> {
    let mut citations = Vec::new();
    for file in tree.library().filter(|file| !file.is_test()) {
        let comments = file.only(Class::Comment);
        for (line, comment) in comments.lines().enumerate() {
            let is_edge = |word: &&str| {
                word.strip_prefix('E').is_some_and(|number| {
                    (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
                })
            };
            let edges = comment.split(|c| !is_word(c)).filter(is_edge);
            citations.extend(edges.map(|edge| (edge.to_owned(), format!("{}:{}", file.path, line + 1))));
        }
    }
    citations
}

fn ledger_gaps(tree: &Tree) -> Findings {
    let rows = tree.table("| edge | releases |");
    let ledger: Vec<_> = rows.iter().map(|row| row[0]).collect();
    let citations = citations(tree);
    let mut findings = Vec::new();
    for (edge, place) in citations.iter().filter(|(edge, _)| !ledger.contains(&edge.as_str())) {
        findings.push(format!("{place}: {edge} is not in the ledger of src/ARCHITECTURE.md: enter it there"));
    }
    for edge in ledger {
        let count = citations.iter().filter(|(cited, _)| cited == edge).count();
        if count < 2 {
            findings
                .push(format!("ledger {edge}: cited {count} times; cite it where it releases and where it acquires"));
        }
    }
    findings
}

fn paths_that_leave(tree: &Tree) -> Findings {
    let mut findings = Vec::new();
    for file in everything(tree) {
        let depth = file.path.matches('/').count();
        let upward = "../".repeat(depth + 1);
        for (number, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, number + 1);
            for home in ["/home/", "/root/", "/Users/"] {
                let at_start =
                    |at: usize| line[..at].chars().next_back().is_none_or(|c| !is_word(c) && !"./-}".contains(c));
                if line.match_indices(home).any(|(at, _)| at_start(at)) {
                    findings
                        .push(format!("{place}: `{home}` is somebody's machine: name nothing outside the repository"));
                }
            }
            if line.replace("..\"", "../\"").contains(&upward) {
                findings.push(format!("{place}: `{upward}` leaves the repository"));
            }
        }
    }
    findings
}

/// Fails with everything that `rule` finds in the tree.
fn hold(rule: impl Fn(&Tree) -> Findings) {
    let findings = rule(&Tree::read());
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Asserts that `rule` finds just one thing in the bad sample, and nothing in the good one.
fn notices(rule: impl Fn(&Tree) -> Findings, path: &str, bad: &str, good: &str) {
    let findings = rule(&Tree::sample(path, bad));
    assert_eq!(findings.len(), 1, "in {bad:?}: {findings:#?}");
    let findings = rule(&Tree::sample(path, good));
    assert!(findings.is_empty(), "in {good:?}: {findings:#?}");
}

#[test]
fn every_module_has_a_layer() {
    hold(modules_without_a_layer);
    assert_eq!(modules_without_a_layer(&Tree::sample("src/misc/mod.rs", "")).len(), 1);
    assert_eq!(modules_without_a_layer(&Tree::sample("src/queue/mod.rs", "")).len(), 0);
}

#[test]
fn imports_point_down_or_to_the_left() {
    hold(upward_imports);
    notices(upward_imports, "src/job.rs", "use crate::queue::Lane;", "use crate::sync::Arc; // crate::queue::Lane");
    notices(upward_imports, "src/qos.rs", "fn f() { crate::job::run() }", "use crate::error::BuildError;");
    notices(upward_imports, "src/pool/mod.rs", "use crate::event_loop::Sink;", "use crate::job::Executor;");
    notices(upward_imports, "src/sync/host.rs", "use super::super::job::Job;", "use super::parking::Reason;");
    notices(
        upward_imports,
        "src/sync/mod.rs",
        "use super::job::Job;",
        "#[cfg(test)] mod tests { use crate::job::Job; }",
    );
    notices(upward_imports, "src/job.rs", "use crate::{sync, error};", "use crate::error::{A, B};");
    notices(upward_imports, "src/queue/lane.rs", "use crate::Qos;", "use crate::qos::Qos;");
}

#[test]
fn a_state_word_imports_bits_and_sync_only() {
    hold(state_imports);
    notices(state_imports, "src/pool/state.rs", "use crate::job::Job;", "use crate::bits::Field; use core::fmt;");
    notices(state_imports, "src/pool/state.rs", "use super::Worker;", "use crate::sync::{AtomicU64, Ordering};");
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    hold(long_files);
    notices(long_files, "src/queue/lane.rs", &"\n".repeat(501), &"\n".repeat(500));
}

#[test]
fn unsafe_code_stays_in_its_homes() {
    hold(stray_unsafe);
    notices(stray_unsafe, "src/group.rs", "fn f() { unsafe { g() } }", "// unsafe\nconst A: &str = \"unsafe\";");
    notices(stray_unsafe, "src/group.rs", "#![allow(unsafe_code)]", "/* /* unsafe */ unsafe */ const A: char = '\"';");
    notices(stray_unsafe, "src/models/group.rs", "#[cfg(test)] mod tests { unsafe fn f() {} }", "fn not_unsafe() {}");
    assert!(stray_unsafe(&Tree::sample("src/sync/line.rs", "unsafe fn f() {}")).is_empty());
}

#[test]
fn memory_orderings_stay_with_the_words_they_order() {
    hold(stray_orderings);
    notices(stray_orderings, "src/queue/drain.rs", "a.load(Ordering::Acquire)", "a.cmp(&b) == Ordering::Less");
    notices(stray_orderings, "src/queue/drain.rs", "use crate::sync::Ordering::*;", "use crate::sync::Ordering;");
    assert!(stray_orderings(&Tree::sample("src/queue/state.rs", "Ordering::Relaxed")).is_empty());
}

#[test]
fn statics_and_thread_locals_stay_in_their_homes() {
    hold(stray_statics);
    notices(stray_statics, "src/group.rs", "static COUNT: u32 = 0;", "fn name() -> &'static str { r#\"static\"# }");
    notices(stray_statics, "src/group.rs", "thread_local! {}", "#[cfg(all(test, unix))]\nfn f() { static A: u8 = 0; }");
}

#[test]
fn platforms_and_raw_descriptors_stay_behind_one_seam() {
    hold(stray_platforms);
    notices(stray_platforms, "src/group.rs", "#[cfg(target_os = \"linux\")]", "fn f(fd: OwnedFd) {}");
    notices(stray_platforms, "src/group.rs", "fn f(fd: RawFd) {}", "fn f(fd: BorrowedFd<'_>) {}");
}

#[test]
fn panics_are_caught_in_one_place() {
    hold(stray_catches);
    notices(stray_catches, "src/group.rs", "std::panic::catch_unwind(f)", "crate::job::contain(f)");
}

#[test]
fn threads_locks_and_atomics_come_through_one_door() {
    hold(stray_machinery);
    notices(stray_machinery, "src/group.rs", "use std::sync::Arc;", "//! ```\n//! use std::sync::Arc;\n//! ```");
    notices(stray_machinery, "src/group.rs", "use parking_lot::Mutex;", "use crate::sync::Mutex;");
    notices(
        stray_machinery,
        "src/group.rs",
        "std::thread::sleep(d)",
        "#[cfg(concourse_loom)] use std::time::Duration;",
    );
    notices(
        stray_machinery,
        "src/group.rs",
        "use std::{fmt, sync::Arc};",
        "#[cfg(test)]\nuse std::sync::Arc;\nfn f() {}",
    );
}

#[test]
fn nothing_is_left_to_do_in_the_text() {
    hold(unfinished_business);
    notices(unfinished_business, "README.md", "TODO: say more", "a to-do list");
    notices(unfinished_business, "examples/a.rs", "todo!()", "fn todo_list() {}");
}

#[test]
fn type_names_say_what_things_are() {
    hold(empty_type_names);
    notices(empty_type_names, "tests/a.rs", "struct QueueManager;", "struct Queue; // struct QueueManager");
    notices(empty_type_names, "src/group.rs", "pub(crate) enum InnerState {}", "struct Database; trait Infoless {}");
}

#[test]
fn every_ledger_edge_is_cited_at_both_ends_and_every_citation_is_in_the_ledger() {
    hold(ledger_gaps);
    let sample = |page: &str, text: &str| {
        let mut tree = Tree::sample("src/group.rs", text);
        tree.page = page.to_owned();
        ledger_gaps(&tree).len()
    };
    let ledger = "| edge | releases | acquires | carries |\n|---|---|---|---|\n| E1 | a | b | c |\n";
    assert_eq!(sample(ledger, "// Release, E1: a\n// Acquire, E1: b"), 0);
    assert_eq!(sample(ledger, "// Release, E1: a"), 1, "one end is not enough");
    assert_eq!(sample(ledger, "let e = E1;\n// E1"), 1, "code is no citation");
    assert_eq!(sample("", "// E2, and E0277 of the compiler"), 1, "an edge that is not in the ledger");
}

#[test]
fn nothing_names_a_path_outside_the_repository() {
    hold(paths_that_leave);
    notices(paths_that_leave, "README.md", "see /home/somebody/notes", "see src/home/notes and /proc/self/fd");
    notices(paths_that_leave, "benches/Cargo.toml", "path = \"../..\"", "path = \"..\"");
    notices(paths_that_leave, "src/lib.rs", "include_str!(\"../../a.md\")", "include_str!(\"../README.md\")");
}
