//! The file of sums: a line `DIGEST  PATH` a file, as `sha256sum` and `b3sum` write and check it.
//!
//! Paths are bytes and are written as they are. Only a path with a backslash, a newline or a carriage return is escaped
//! (`\\`, `\n`, `\r`), and a backslash in front of the digest says so.

use crate::digest::Digest;
use crate::listing::Entry;
use crate::listing::Failure;
use crate::listing::Found;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Appends the line that records `digest` for `path`.
pub(crate) fn write_sum(line: &mut Vec<u8>, digest: &Digest, path: &Path) {
    let start = line.len();
    line.extend_from_slice(digest.to_string().as_bytes());
    line.extend_from_slice(b"  ");
    if write_path(line, path) {
        line.insert(start, b'\\');
    }
    line.push(b'\n');
}

/// Appends the line that says how `path` compared.
pub(crate) fn write_verdict(line: &mut Vec<u8>, path: &Path, verdict: &str) {
    let start = line.len();
    if write_path(line, path) {
        line.insert(start, b'\\');
    }
    line.extend_from_slice(b": ");
    line.extend_from_slice(verdict.as_bytes());
    line.push(b'\n');
}

/// Appends a path, and says whether it had to be escaped.
fn write_path(line: &mut Vec<u8>, path: &Path) -> bool {
    let start = line.len();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'\\' => line.extend_from_slice(br"\\"),
            b'\n' => line.extend_from_slice(br"\n"),
            b'\r' => line.extend_from_slice(br"\r"),
            _ => line.push(byte),
        }
    }
    line.len() - start > path.as_os_str().len()
}

/// Reads a line without its newline; `None` if it is not of the format.
///
/// Takes the text mark (two spaces) as well as the binary mark (space and asterisk), and digits of either case.
pub(crate) fn parse_sum(line: &[u8]) -> Option<(Digest, PathBuf)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hex, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    let name = if escaped { unescape(name)? } else { name.to_vec() };
    if name.is_empty() || name.contains(&0) {
        return None;
    }
    Some((Digest::from_hex(hex)?, PathBuf::from(OsString::from_vec(name))))
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(plain)
}

/// A file of sums that is to be checked, in memory.
pub(crate) struct Sums {
    name: PathBuf,
    text: Vec<u8>,
}

impl Sums {
    /// Reads the file; `-` is the standard input.
    pub(crate) fn read(name: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        if name == Path::new("-") {
            io::stdin().lock().read_to_end(&mut text)?;
        } else {
            text = fs::read(name)?;
        }
        Ok(Self { name: name.to_path_buf(), text })
    }

    /// The files it names, in its order. Each is looked up only when its turn comes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Found> {
        let lines = self.text.strip_suffix(b"\n").unwrap_or(&self.text).split(|&byte| byte == b'\n');
        lines.enumerate().map(|(i, line)| match parse_sum(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some((expected, path)) => look_up(path, expected),
            None => Found::Failed(Failure::new(&self.name, format_args!("line {} is malformed", i + 1))),
        })
    }
}

fn look_up(path: PathBuf, expected: Digest) -> Found {
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => {
            Found::File(Entry { path, size: metadata.len(), expected: Some(expected) })
        }
        Ok(_) => Found::Failed(Failure::new(&path, "not a regular file")),
        Err(error) => Found::Failed(Failure::new(&path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;

    fn round_trip(name: &[u8]) -> Vec<u8> {
        let digest = Algorithm::Blake3.hasher().finish();
        let path = PathBuf::from(OsString::from_vec(name.to_vec()));
        let mut line = Vec::new();
        write_sum(&mut line, &digest, &path);
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(!line.contains(&b'\n'));
        assert_eq!(parse_sum(&line), Some((digest, path)));
        line
    }

    #[test]
    fn names_come_back_whatever_bytes_they_have() {
        assert!(round_trip(b"plain name").starts_with(b"af13"));
        assert!(round_trip(b"back\\slash").starts_with(br"\af13"));
        assert!(round_trip(b"new\nline").ends_with(br"new\nline"));
        assert!(round_trip(b"carriage\rreturn").ends_with(br"carriage\rreturn"));
        assert!(round_trip(b"\xff not utf-8").ends_with(b"\xff not utf-8"));
    }

    #[test]
    fn the_binary_mark_is_understood() {
        let line = format!("{} *name", Algorithm::Sha256.hasher().finish());
        assert_eq!(parse_sum(line.as_bytes()).map(|(_, path)| path), Some(PathBuf::from("name")));
    }

    #[test]
    fn what_is_not_of_the_format_is_refused() {
        let hex = Algorithm::Blake3.hasher().finish().to_string();
        for line in [
            String::new(),
            hex.clone(),
            format!("{hex}  "),
            format!("{hex} name"),
            format!("{}  name", &hex[1..]),
            format!("\\{hex}  bad\\escape"),
            format!("\\{hex}  cut\\"),
            format!("{hex}  nul\0"),
        ] {
            assert_eq!(parse_sum(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn a_verdict_escapes_like_a_sum() {
        let mut line = Vec::new();
        write_verdict(&mut line, Path::new("a\nb"), "OK");
        write_verdict(&mut line, Path::new("c"), "FAILED");
        assert_eq!(line, b"\\a\\nb: OK\nc: FAILED\n");
    }
}
