//! How progress is shown. A renderer only draws: when to draw, and how often, is decided elsewhere.

mod bar;
mod caption;
mod json;
mod plain;

use crate::listing::Failure;
use crate::progress::View;
use crate::report::Summary;
use bar::Bar;
use clap::ValueEnum;
use indicatif::ProgressBar;
use json::Json;
use plain::Plain;
use std::fmt;
use std::io;
use std::io::IsTerminal as _;
use std::time::Duration;

/// One way of showing progress.
pub(crate) trait Render: Send {
    /// Shows where the job is.
    fn draw(&mut self, view: &View);

    /// Tells what could not be done.
    fn complain(&mut self, failure: &Failure);

    /// Says where the job is, because somebody wants to know.
    fn status(&mut self, view: &View);

    /// Leaves the terminal to others: what is drawn next begins on a line of its own.
    fn step_aside(&mut self) {}

    /// Shows where the job ended, whatever was left out before.
    fn finish(&mut self, view: &View, summary: &Summary);

    /// What must be lifted while somebody else writes to the terminal.
    fn curtain(&self) -> Curtain {
        Curtain(None)
    }
}

/// The bar, seen by those who write beside it.
#[derive(Clone)]
pub(crate) struct Curtain(Option<ProgressBar>);

impl Curtain {
    /// Runs `write` while the terminal's last line is free.
    pub(crate) fn lift<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// A bar on a terminal that can show one, otherwise plain lines
    #[default]
    Auto,
    /// A bar; without a terminal plain lines
    Bar,
    /// A line now and then
    Plain,
    /// An object a line
    Json,
    /// Nothing but failures
    None,
}

impl Style {
    /// What is possible: `Auto` is decided, and nothing but a terminal gets a bar.
    pub(crate) fn settle(self) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.settle_for(io::stderr().is_terminal(), dumb)
    }

    fn settle_for(self, terminal: bool, dumb: bool) -> Self {
        match self {
            Self::Auto if terminal && !dumb => Self::Bar,
            Self::Bar if terminal => Self::Bar,
            Self::Auto | Self::Bar => Self::Plain,
            Self::Plain | Self::Json | Self::None => self,
        }
    }

    /// The renderer of a settled style, on the standard error.
    pub(crate) fn renderer(self, plain_every: Duration) -> Box<dyn Render> {
        match self {
            Self::Bar => Box::new(Bar::on_stderr(colour_is_welcome())),
            Self::Auto | Self::Plain => Box::new(Plain::new(io::stderr(), plain_every)),
            Self::Json => Box::new(Json::new(io::stderr())),
            Self::None => Box::new(Quiet),
        }
    }
}

fn colour_is_welcome() -> bool {
    // https://no-color.org: any value but the empty one.
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows only what went wrong.
struct Quiet;

impl Render for Quiet {
    fn draw(&mut self, _: &View) {}

    fn complain(&mut self, failure: &Failure) {
        complain(&mut io::stderr(), failure);
    }

    fn status(&mut self, view: &View) {
        write_line(&mut io::stderr(), caption::line(view));
    }

    fn finish(&mut self, _: &View, _: &Summary) {}
}

/// Writes a line. An error stream that is gone is no reason to stop hashing, so its errors are dropped here.
fn write_line(out: &mut impl io::Write, line: impl fmt::Display) {
    let _ = writeln!(out, "{line}");
}

fn complain(out: &mut impl io::Write, failure: &Failure) {
    write_line(out, format_args!("progress_bar: {failure}"));
}

/// Writes what ends the program, when there is nothing to draw yet or any more.
pub(crate) fn last_words(text: impl fmt::Display) {
    write_line(&mut io::stderr(), format_args!("progress_bar: {text}"));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    /// Keeps what it is told to show.
    #[derive(Clone, Default)]
    pub(crate) struct Recording {
        pub(crate) views: Arc<Mutex<Vec<View>>>,
        pub(crate) failures: Arc<Mutex<Vec<Failure>>>,
    }

    impl Render for Recording {
        fn draw(&mut self, view: &View) {
            self.views.lock().push(*view);
        }

        fn complain(&mut self, failure: &Failure) {
            self.failures.lock().push(failure.clone());
        }

        fn status(&mut self, _: &View) {}

        fn finish(&mut self, view: &View, _: &Summary) {
            self.draw(view);
        }
    }

    impl Recording {
        /// Waits until what was drawn is as it should be.
        pub(crate) fn wait_for(&self, as_it_should_be: impl Fn(&[View]) -> bool) {
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                // A copy: whoever looks may want the lock that drawing is done under.
                let views = self.views.lock().clone();
                if as_it_should_be(&views) {
                    return;
                }
                assert!(Instant::now() < deadline, "only this was drawn: {views:?}");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn nothing_but_a_terminal_gets_a_bar() {
        let settled = |terminal, dumb| [Style::Auto, Style::Bar].map(|style| style.settle_for(terminal, dumb));
        assert_eq!(settled(true, false), [Style::Bar, Style::Bar]);
        assert_eq!(settled(true, true), [Style::Plain, Style::Bar]);
        assert_eq!(settled(false, false), [Style::Plain, Style::Plain]);
        assert_eq!(Style::None.settle_for(true, false), Style::None);
    }
}
