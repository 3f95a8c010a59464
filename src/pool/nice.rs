//! The classes as nice values of threads, so that the operating system's scheduler knows of them too.
//!
//! Linux keeps a nice value for each thread. A thread may always become nicer, but may only go back where the process is
//! permitted to, so that the way back is tried before anybody relies on it.

use crate::pool::backlog::CLASSES;
use crate::qos::Qos;
use crate::sync::ThreadBuilder;
use rustix::process::getpriority_process;
use rustix::process::setpriority_process;
use std::cell::Cell;
use std::io;

/// How much nicer than usual a thread is for each class.
const STEPS: [i32; CLASSES] = [10, 5, 0, 0, 0];

/// The nice value of each class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NiceLevels {
    /// The one of a thread that has nothing to do, and of everything that is not expressly less urgent.
    usual: i32,
}

impl NiceLevels {
    /// Starts from the calling thread's nice value; an error if there would be no way back to it.
    pub(crate) fn probe() -> io::Result<Self> {
        let there_and_back = || {
            let levels = Self { usual: getpriority_process(None)? };
            setpriority_process(None, levels.of(Qos::Background as usize))?;
            setpriority_process(None, levels.usual)?;
            Ok(levels)
        };
        // A thread that cannot go back ends here.
        let probe = ThreadBuilder::new().name("nice-probe".into()).spawn(there_and_back)?;
        probe.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    fn of(self, class: usize) -> i32 {
        // No thread is nicer than 19.
        (self.usual + STEPS[class]).min(19)
    }

    /// Gives the calling thread the usual nice value, whatever it has inherited from the thread that started it.
    pub(crate) fn settle(self) {
        self.apply(Qos::Default as usize);
    }

    fn apply(self, class: usize) {
        // `None` is the calling thread. A permission that has been taken away since the probe costs the effect only.
        let _ = setpriority_process(None, self.of(class));
    }
}

/// The nice value of a worker's thread, changed by that thread.
pub(crate) struct Nice {
    levels: NiceLevels,
    class: Cell<usize>,
}

impl Nice {
    pub(crate) fn new(levels: NiceLevels) -> Self {
        levels.settle();
        Self { levels, class: Cell::new(Qos::Default as usize) }
    }

    /// Follows the thread to the next job's class.
    #[cold]
    pub(crate) fn serve(&self, class: usize) {
        let before = self.class.replace(class);
        if self.levels.of(before) != self.levels.of(class) {
            self.levels.apply(class);
        }
    }
}
