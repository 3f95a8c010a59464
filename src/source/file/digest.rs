//! What a file's content comes to, to tell a save that changes nothing from one that does.

use std::fs::File;
use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::io;
use std::io::Read;
use std::path::Path;

/// 64 bits of a keyed hash: two contents have the same with a probability of one in 10¹⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

/// Makes digests that can be compared with each other.
pub(super) struct Digests(RandomState);

impl Digests {
    pub(super) fn new() -> Self {
        Self(RandomState::new())
    }

    /// `None` if the file cannot be read to its end.
    pub(super) fn of(&self, path: &Path) -> Option<Digest> {
        self.read(path).ok()
    }

    fn read(&self, path: &Path) -> io::Result<Digest> {
        let (mut file, mut hasher, mut buffer) = (File::open(path)?, self.0.build_hasher(), vec![0; 64 * 1024]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Digest(hasher.finish())),
                Ok(length) => hasher.write(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
