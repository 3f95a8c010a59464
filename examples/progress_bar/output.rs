//! Where the sums go: the standard output, or a file that appears complete or not at all.

use crate::listing::Failure;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::IsTerminal as _;
use std::io::Write;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process;

/// What tells two names of one file from two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A sink for lines. Its errors name it.
pub(crate) enum Output {
    Stdout(io::Stdout),
    Replacement(Replacement),
}

impl Output {
    /// Writes to the file, or without one to the standard output.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            None => Ok(Self::Stdout(io::stdout())),
            Some(path) => match Replacement::create(path) {
                Ok(file) => Ok(Self::Replacement(file)),
                Err(error) => Err(Failure::new(path, error)),
            },
        }
    }

    /// Whether the lines show up where a bar may be.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout(stdout) if stdout.is_terminal())
    }

    /// Writes lines: to the standard output at once, to a file before the commit is over.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Self::Stdout(stdout) => stdout.write_all(lines).and_then(|()| stdout.flush()),
            Self::Replacement(file) => file.writer.write_all(lines),
        };
        written.map_err(|error| Failure::new(self.name(), error))
    }

    /// Gives a file its name. Without this there is none.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        let committed = match &mut self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Replacement(file) => file.commit(),
        };
        committed.map_err(|error| Failure::new(self.name(), error))
    }

    /// The files that are being written, or that are about to be replaced. A tree that contains them must not hash them.
    pub(crate) fn own_files(&self) -> Vec<FileId> {
        match self {
            Self::Stdout(stdout) => {
                let metadata = stdout.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
                metadata.iter().map(FileId::of).collect()
            }
            Self::Replacement(file) => {
                let metadata = [fs::metadata(&file.temporary), fs::metadata(&file.target)];
                metadata.iter().flatten().map(FileId::of).collect()
            }
        }
    }

    /// What must be removed if the program ends in the middle.
    pub(crate) fn temporary(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout(_) => None,
            Self::Replacement(file) => Some(file.temporary.clone()),
        }
    }

    fn name(&self) -> &Path {
        match self {
            Self::Stdout(_) => Path::new("standard output"),
            Self::Replacement(file) => &file.target,
        }
    }
}

/// A temporary file beside its target. Dropped before `commit`, it leaves no trace.
pub(crate) struct Replacement {
    writer: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
}

impl Replacement {
    fn create(path: &Path) -> io::Result<Self> {
        // A link stays a link: what it points to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if target.exists() && !target.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file, so it cannot be replaced"));
        }
        let Some(name) = target.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", process::id()));
        let temporary = target.with_file_name(hidden);
        let writer = BufWriter::new(File::create_new(&temporary)?);
        Ok(Self { writer, temporary, target })
    }

    fn commit(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        // Without this a crash soon afterwards could leave an empty file under the final name.
        self.writer.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After a commit the name is gone, which is as good. The file of the run is what matters, not this error.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let scratch = Scratch::new();
        let target = scratch.file("sums", b"before");
        let mut output = Output::open(Some(&target)).unwrap();
        output.write(b"after\n").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"before");
        assert_eq!(output.own_files().len(), 2);
        output.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"after\n");

        let mut abandoned = Output::open(Some(&target)).unwrap();
        abandoned.write(b"never\n").unwrap();
        drop(abandoned);
        assert_eq!(fs::read(&target).unwrap(), b"after\n");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_its_target_is_replaced() {
        let scratch = Scratch::new();
        let target = scratch.file("real", b"before");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        let mut output = Output::open(Some(&link)).unwrap();
        output.write(b"after").unwrap();
        output.commit().unwrap();
        assert_eq!(fs::read(target).unwrap(), b"after");
        assert!(link.is_symlink());
    }

    #[test]
    fn only_a_regular_file_is_replaced() {
        assert!(Output::open(Some(Path::new("/dev/null"))).is_err());
        assert!(Output::open(Some(Scratch::new().path())).is_err());
        assert!(Output::open(Some(Path::new(".."))).is_err());
    }
}
