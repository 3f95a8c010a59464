//! What is put in order on every way out of the program: by its end, by a panic, or at once.

use crate::render;
use crate::terminal::Terminal;
use std::fmt::Display;
use std::fs;
use std::panic;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;

/// Knows what must not be left as it is.
pub(crate) struct WayOut {
    terminal: Option<Arc<Terminal>>,
    /// The output, as long as it has no name of its own.
    leftover: Option<PathBuf>,
}

impl WayOut {
    pub(crate) fn new(terminal: Option<Arc<Terminal>>, leftover: Option<PathBuf>) -> Self {
        if let Some(terminal) = &terminal {
            let terminal = Arc::clone(terminal);
            let report = panic::take_hook();
            // Whoever panics, and wherever: first the terminal is put in order, so that the report can be read.
            panic::set_hook(Box::new(move |panic| {
                terminal.give_back();
                report(panic);
            }));
        }
        Self { terminal, leftover }
    }

    /// The terminal that is given back on the way.
    pub(crate) fn terminal(&self) -> Option<&Arc<Terminal>> {
        self.terminal.as_ref()
    }

    /// Ends the program without waiting for anything.
    pub(crate) fn at_once(&self, code: u8, why: impl Display) -> ! {
        if let Some(terminal) = &self.terminal {
            terminal.give_back();
        }
        if let Some(leftover) = &self.leftover {
            // It is there, unless somebody else has removed it.
            let _ = fs::remove_file(leftover);
        }
        render::last_words(why);
        process::exit(i32::from(code))
    }
}
