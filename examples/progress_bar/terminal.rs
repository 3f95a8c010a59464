//! The terminal that the program was started from, and the state it is found in and left in.
//!
//! Keys are to arrive one by one and unseen, which the terminal has to be told, and must be told to forget: whoever reads
//! from it next, the shell above all, expects it as it was. Signals stay what they are: Ctrl-C arrives as SIGINT, also
//! when nobody reads keys.

use parking_lot::Mutex;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::fstat;
use rustix::fs::open;
use rustix::process::getpgrp;
use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use rustix::termios::SpecialCodeIndex;
use rustix::termios::Termios;
use rustix::termios::tcgetattr;
use rustix::termios::tcgetpgrp;
use rustix::termios::tcsetattr;
use std::fs::File;
use std::io;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::mem;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

/// The controlling terminal.
pub(crate) struct Terminal {
    file: File,
    state: Mutex<State>,
}

enum State {
    /// As it was found.
    Untouched,
    /// Changed by us, and this is how it was found.
    Entered(Termios),
    /// As it was found, and to be left so.
    GivenBack,
}

impl Terminal {
    /// Opens the terminal. There is none for a job that a machine has started. It is left to others if it does not show the
    /// bar, and if the digests go through a pipe, as its reader may want the keys: a pager does.
    ///
    /// It is opened anew, though standard streams lead there as well: reads from it must not block, and that would go for
    /// whoever else has the same stream.
    pub(crate) fn open() -> Option<Self> {
        let is_pipe = fstat(io::stdout()).is_ok_and(|stdout| FileType::from_raw_mode(stdout.st_mode) == FileType::Fifo);
        if is_pipe || !io::stderr().is_terminal() {
            return None;
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = open("/dev/tty", flags, Mode::empty()).ok()?.into();
        Some(Self { file, state: Mutex::new(State::Untouched) })
    }

    /// Has keys arrive as they are pressed, and not shown. False if the terminal belongs to another job at the moment, or is
    /// gone or given back: who changed or read it then would be stopped.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(*state, State::GivenBack) || !self.is_ours() {
            return false;
        }
        let Ok(current) = tcgetattr(&self.file) else { return false };
        let mut changed = current.clone();
        changed.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        changed.special_codes[SpecialCodeIndex::VMIN] = 1;
        changed.special_codes[SpecialCodeIndex::VTIME] = 0;
        if matches!(*state, State::Untouched) {
            *state = State::Entered(current);
        }
        // At once: it would be waited for long while the output is stopped.
        tcsetattr(&self.file, OptionalActions::Now, &changed).is_ok()
    }

    /// Leaves the terminal as it was found, until it is entered again.
    pub(crate) fn leave(&self) {
        self.restore(State::Untouched);
    }

    /// Leaves the terminal as it was found, for good. May be called from any thread, and more than once.
    pub(crate) fn give_back(&self) {
        self.restore(State::GivenBack);
    }

    fn restore(&self, after: State) {
        let mut state = self.state.lock();
        let before = mem::replace(&mut *state, after);
        // If another job has the terminal, then somebody has put it in order for that job.
        if let State::Entered(found) = before
            && self.is_ours()
        {
            // If it fails the terminal is gone, and nobody is left to see in which state.
            let _ = tcsetattr(&self.file, OptionalActions::Now, &found);
        }
    }

    /// Takes keys that were pressed; none if there is nothing at the moment.
    ///
    /// # Errors
    ///
    /// If there will never be any more.
    pub(crate) fn read(&self, keys: &mut [u8]) -> io::Result<usize> {
        match (&self.file).read(keys) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            result => result,
        }
    }

    /// Whether this job is the one in the foreground.
    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == getpgrp())
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
