//! How much is taken of the machine.

use crate::program::OTHER_THREADS;
use crate::program::is_over;
use crate::program::wait_for;
use crate::scratch::Scratch;
use crate::scratch::bytes;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

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
        assert!((1..=jobs + OTHER_THREADS).contains(&most_threads), "{most_threads} threads for {jobs} jobs");
    }
}
