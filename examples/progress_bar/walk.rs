//! A walk over a directory tree: always in the same order, never into a loop, never onto a device.
//!
//! The order is that of the arguments, and below each of them depth first, every directory sorted by the bytes of its
//! names. It is the order of the output as well.

use crate::listing::Entry;
use crate::listing::Failure;
use crate::listing::Found;
use crate::output::FileId;
use glob::Pattern;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use walkdir::DirEntry;
use walkdir::WalkDir;

/// What every walk of a run leaves out.
#[derive(Default)]
pub(crate) struct Rules {
    /// A pattern without a slash is held against every name below the root, one with a slash against the path from
    /// there. An excluded directory is not entered.
    pub(crate) exclude: Vec<Pattern>,
    /// Whether symbolic links below the root are followed.
    pub(crate) follow: bool,
    /// The program's own output, which would change while it is read.
    pub(crate) own: Vec<FileId>,
}

/// One tree, or one file: an argument of the command line.
pub(crate) struct Tree {
    root: PathBuf,
    rules: Arc<Rules>,
}

impl Tree {
    pub(crate) fn new(root: PathBuf, rules: &Arc<Rules>) -> Self {
        Self { root, rules: Arc::clone(rules) }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Found> + '_ {
        WalkDir::new(&self.root)
            .follow_links(self.rules.follow)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| !self.excludes(entry))
            .filter_map(|entry| match entry {
                Ok(entry) => self.classify(&entry),
                Err(error) => Some(Found::Failed(explain(&error, &self.root))),
            })
    }

    fn excludes(&self, entry: &DirEntry) -> bool {
        if entry.depth() == 0 {
            return false;
        }
        let name = entry.file_name().to_string_lossy();
        let below = entry.path().strip_prefix(&self.root).unwrap_or(entry.path()).to_string_lossy();
        self.rules.exclude.iter().any(|pattern| {
            let subject = if pattern.as_str().contains('/') { &below } else { &name };
            pattern.matches(subject)
        })
    }

    /// A directory is no step of the listing; whatever else is there is.
    fn classify(&self, entry: &DirEntry) -> Option<Found> {
        if entry.file_type().is_dir() {
            return None;
        }
        let named = entry.depth() == 0;
        if entry.path_is_symlink() && !self.rules.follow && !named {
            return Some(Found::Skipped);
        }
        // The walk has followed a named link to a directory itself; a named link to a file is left to us.
        let metadata = match fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            Err(error) => return Some(Found::Failed(Failure::new(entry.path(), error))),
        };
        if metadata.is_dir() {
            None
        } else if metadata.is_file() && !self.rules.own.contains(&FileId::of(&metadata)) {
            Some(Found::File(Entry { path: entry.path().to_path_buf(), size: metadata.len(), expected: None }))
        } else if named {
            Some(Found::Failed(Failure::new(entry.path(), "not a regular file, or the output itself")))
        } else {
            Some(Found::Skipped)
        }
    }
}

fn explain(error: &walkdir::Error, root: &std::path::Path) -> Failure {
    let path = error.path().unwrap_or(root);
    match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => Failure::new(path, format_args!("a link back to {}", crate::text::path(ancestor))),
        (None, Some(cause)) => Failure::new(path, cause),
        (None, None) => Failure::new(path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::symlink;

    fn names(scratch: &Scratch, rules: Rules) -> (Vec<String>, usize, Vec<Failure>) {
        let tree = Tree::new(scratch.path().to_path_buf(), &Arc::new(rules));
        let (mut files, mut skipped, mut failed) = (Vec::new(), 0, Vec::new());
        for found in tree.entries() {
            match found {
                Found::File(entry) => files.push(scratch.name_of(&entry.path)),
                Found::Skipped => skipped += 1,
                Found::Failed(failure) => failed.push(failure),
            }
        }
        (files, skipped, failed)
    }

    fn exclude(patterns: &[&str]) -> Rules {
        let exclude = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
        Rules { exclude, ..Rules::default() }
    }

    #[test]
    fn the_walk_is_sorted_and_depth_first() {
        let scratch = Scratch::new();
        for name in ["b/2", "b/1", "a", "c/d/e", "B"] {
            scratch.file(name, b"x");
        }
        assert_eq!(names(&scratch, Rules::default()).0, ["B", "a", "b/1", "b/2", "c/d/e"]);
    }

    #[test]
    fn an_exclude_matches_names_or_whole_paths_and_prunes() {
        let scratch = Scratch::new();
        for name in ["a.rs", "a.o", "target/x", "src/target/y", "src/z.o", "src/z.rs"] {
            scratch.file(name, b"x");
        }
        assert_eq!(names(&scratch, exclude(&["*.o", "target"])).0, ["a.rs", "src/z.rs"]);
        assert_eq!(names(&scratch, exclude(&["src/*"])).0, ["a.o", "a.rs", "target/x"]);
    }

    #[test]
    fn links_are_skipped_unless_followed_and_a_loop_is_a_failure() {
        let scratch = Scratch::new();
        scratch.file("dir/file", b"x");
        symlink("dir", scratch.path().join("link")).unwrap();
        assert_eq!(names(&scratch, Rules::default()), (vec!["dir/file".into()], 1, vec![]));

        symlink("..", scratch.path().join("dir/loop")).unwrap();
        symlink("nowhere", scratch.path().join("dangling")).unwrap();
        let (files, skipped, failed) = names(&scratch, Rules { follow: true, ..Rules::default() });
        assert_eq!(files, ["dir/file", "link/file"]);
        assert_eq!(skipped, 0);
        let failed: Vec<_> = failed.iter().map(|f| scratch.name_of(f.what.as_ref())).collect();
        assert_eq!(failed, ["dangling", "dir/loop", "link/loop"]);
    }

    #[test]
    fn a_named_link_is_followed_and_a_missing_root_is_a_failure() {
        let scratch = Scratch::new();
        scratch.file("file", b"four");
        symlink("file", scratch.path().join("link")).unwrap();
        let rules = Arc::new(Rules::default());
        let link = scratch.path().join("link");
        let found: Vec<_> = Tree::new(link.clone(), &rules).entries().collect();
        assert_eq!(found, [Found::File(Entry { path: link, size: 4, expected: None })]);
        let missing: Vec<_> = Tree::new(scratch.path().join("missing"), &rules).entries().collect();
        assert!(matches!(&missing[..], [Found::Failed(failure)] if failure.why.contains("No such file")));
    }

    #[test]
    fn the_programs_own_output_is_not_part_of_the_tree() {
        let scratch = Scratch::new();
        scratch.file("a", b"x");
        let own = FileId::of(&fs::metadata(scratch.file("sums", b"")).unwrap());
        assert_eq!(names(&scratch, Rules { own: vec![own], ..Rules::default() }).0, ["a"]);
    }
}
