//! Reading one file from its beginning to its end.

use crate::digest::Algorithm;
use crate::digest::Digest;
use crate::gate::Gate;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

/// The most that is read at a time. Larger reads are not faster, and this much stays in a core's second-level cache.
pub(crate) const CHUNK: usize = 256 * 1024;

/// A file that was expected to be tiny is read at least this much at a time, as it may have grown.
const SMALLEST_CHUNK: usize = 16 * 1024;

/// Reads `path` to its end in chunks of at most `chunk` bytes, while the gate is open, and tells `progress` the length of
/// each.
///
/// `size` is only a guess: the file is read to its end, wherever that is by now.
///
/// # Errors
///
/// That of the first read that fails, or of the gate if the job is cancelled. What was read before has been told to
/// `progress`.
pub(crate) fn hash_file(
    path: &Path,
    size: u64,
    chunk: usize,
    algorithm: Algorithm,
    gate: &Gate,
    progress: impl FnMut(u64),
) -> io::Result<Digest> {
    // One byte more than expected, so that one read shows that a file ends where it should.
    let expected = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1);
    let buffer = vec![0; expected.max(SMALLEST_CHUNK).min(chunk)];
    hash_all(gate.guard(File::open(path)?), buffer, algorithm, progress)
}

fn hash_all(
    mut from: impl Read,
    mut buffer: Vec<u8>,
    algorithm: Algorithm,
    mut progress: impl FnMut(u64),
) -> io::Result<Digest> {
    let mut hasher = algorithm.hasher();
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                progress(n as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// Gives its pieces one by one, then fails or ends.
    struct Pieces(Vec<io::Result<&'static [u8]>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0)?;
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn every_byte_is_hashed_and_told_once() {
        let scratch = Scratch::new();
        let content: Vec<u8> = (0..100_000_u32).map(|i| (i / 7) as u8).collect();
        let path = scratch.file("file", &content);
        let mut expected = Algorithm::Blake3.hasher();
        expected.update(&content);
        let expected = expected.finish();
        for size in [0, 99_999, 100_000, u64::MAX] {
            let mut told = Vec::new();
            let digest = hash_file(&path, size, 32 * 1024, Algorithm::Blake3, &Gate::new(), |n| told.push(n)).unwrap();
            assert_eq!(digest, expected);
            assert_eq!(told.iter().sum::<u64>(), 100_000);
            assert!(told.iter().all(|&n| n > 0 && n <= 32 * 1024));
        }
    }

    #[test]
    fn an_interrupted_read_goes_on_and_a_failed_one_ends_the_file() {
        let interrupted = || Err(io::Error::from(io::ErrorKind::Interrupted));
        let pieces = Pieces(vec![Ok(b"a"), interrupted(), Ok(b"bc")]);
        let digest = hash_all(pieces, vec![0; 8], Algorithm::Sha256, |_| {}).unwrap();
        assert!(digest.to_string().starts_with("ba7816bf"));

        let pieces = Pieces(vec![Ok(b"abc"), Err(io::Error::other("the disk is gone")), Ok(b"d")]);
        let mut told = 0;
        let error = hash_all(pieces, vec![0; 8], Algorithm::Sha256, |n| told += n).unwrap_err();
        assert_eq!((told, error.to_string().as_str()), (3, "the disk is gone"));
    }
}
