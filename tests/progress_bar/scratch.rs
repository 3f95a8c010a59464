//! Directories with something to hash in them.

use crate::profile;
use crate::program::Run;
use crate::program::program;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// A new directory, removed on drop.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.0.join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `many` small files of 100 bytes.
    pub(crate) fn small_files(&self, many: usize) {
        for i in 0..many {
            self.file(format!("{:02}/{i:04}", i % 20), &bytes(i as u64, 100));
        }
    }

    /// A file that is larger than anybody will read here, and takes no space.
    pub(crate) fn endless_file(&self) {
        File::create(self.0.join("endless")).unwrap().set_len(4 << 30).unwrap();
    }

    /// The program as a person starts it: whoever runs the tests may ignore signals that are sent to it here.
    pub(crate) fn program(&self, arguments: &str) -> Command {
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(program()).args(arguments.split_whitespace());
        command.current_dir(&self.0).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        Run::from(self.program(arguments).output().unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that look random and are the same each time.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// 2 000 files of all sizes around the edges of a chunk, and with all the names that need care.
pub(crate) fn varied_tree() -> (Scratch, BTreeMap<PathBuf, Vec<u8>>) {
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
    for (i, edge) in [256 * KIB, 512 * KIB, 1024 * KIB, 1500 * KIB].into_iter().enumerate() {
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
    if profile::is_full() {
        let gibibyte = bytes(2026, 1 << 30);
        scratch.file("tree/gibibyte", &gibibyte);
        contents.insert(PathBuf::from("tree/gibibyte"), gibibyte);
    }
    (scratch, contents)
}

pub(crate) fn expected_blake3_lines(contents: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<u8> {
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
