//! How it is told: one line that is drawn again and again, lines as they come, or JSON.

use super::Event;
use super::Figures;
use super::LinkState;
use super::Name;
use crate::text::brief;
use crate::text::grouped;
use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::time::Duration;

/// How to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One line on a terminal, drawn anew.
    Line,
    /// A line for each change, and now and then one that says how it stands.
    Plain {
        each: bool,
    },
    /// Each event as a line of JSON.
    Json,
    Quiet,
}

impl Style {
    /// What fits the standard output.
    pub(crate) fn of_output(verbose: bool) -> Self {
        let is_plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !verbose && io::stdout().is_terminal() && !is_plain { Self::Line } else { Self::Plain { each: verbose } }
    }

    /// How often it is said how things stand, at most.
    pub(super) fn period(self) -> Duration {
        match self {
            Self::Line => Duration::from_millis(100),
            Self::Plain { .. } | Self::Json | Self::Quiet => Duration::from_secs(10),
        }
    }

    pub(super) fn tells_each(self) -> bool {
        matches!(self, Self::Json | Self::Plain { each: true })
    }
}

/// Writes to the standard output. Nobody may be there to read it: then it is silent.
pub(super) struct Voice {
    style: Style,
    /// A line is being drawn that has not ended.
    is_in_line: bool,
    last_line: String,
}

impl Voice {
    pub(super) fn new(style: Style) -> Self {
        Self { style, is_in_line: false, last_line: String::new() }
    }

    /// Tells what has happened.
    pub(super) fn tell(&mut self, event: &Event) {
        match self.style {
            Style::Quiet => {}
            Style::Json => self.line(&serde_json::to_string(event).unwrap_or_default()),
            Style::Line | Style::Plain { .. } => {
                if let Some(text) = in_words(event) {
                    self.line(&text);
                }
            }
        }
    }

    /// Says how things stand.
    pub(super) fn say(&mut self, figures: &Figures) {
        let line = summary(figures);
        if line == self.last_line {
            return;
        }
        match self.style {
            Style::Quiet | Style::Json => {}
            Style::Plain { .. } => self.line(&line),
            Style::Line => {
                let mut out = io::stdout().lock();
                let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
                self.is_in_line = true;
            }
        }
        self.last_line = line;
    }

    /// Ends with `words`, and says nothing more.
    pub(super) fn finish(&mut self, words: &str) {
        if self.style == Style::Line && self.is_in_line {
            let _ = writeln!(io::stdout());
            self.is_in_line = false;
        }
        if matches!(self.style, Style::Line | Style::Plain { .. }) && !words.is_empty() {
            self.line(words);
        }
        self.style = Style::Quiet;
    }

    fn line(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        let start = if self.is_in_line { "\r\x1b[K" } else { "" };
        // The line that was drawn comes back below this one.
        self.is_in_line = false;
        self.last_line.clear();
        let _ = writeln!(out, "{start}{text}").and_then(|()| out.flush());
    }
}

/// `pending 8 412 · sent 1 588 (3 600/s) · dead 0 · ONLINE · next retry 4 s`
fn summary(figures: &Figures) -> String {
    let level = &figures.level;
    let state = match level.link {
        LinkState::Online => "ONLINE",
        LinkState::Offline => "OFFLINE",
        LinkState::NotAuthorized => "NOT AUTHORIZED",
        LinkState::Paused => "PAUSED",
    };
    let mut line = format!("pending {} · sent {}", grouped(level.pending as i64), grouped(figures.sent as i64));
    if figures.sent_per_second > 0 {
        line += &format!(" ({}/s)", grouped(figures.sent_per_second as i64));
    }
    line += &format!(" · dead {} · {state}", grouped(level.dead));
    if let Some(next) = level.next_in_ms.filter(|_| level.pending > 0) {
        line += &format!(" · next try {}", brief(Duration::from_millis(next)));
    }
    line
}

/// What people want to know of it, if anything.
fn in_words(event: &Event) -> Option<String> {
    let save = |Name { seq, key, .. }: &Name| format!("{seq} {key:?}");
    Some(match event {
        Event::Enqueued { count } => format!("found {}", grouped(*count as i64)),
        Event::Sent(name) => format!("sent {}", save(name)),
        Event::Duplicate(name) => format!("sent {}: the server had it already", save(name)),
        Event::Failed { name, attempts, retry_in_ms, status, why } => {
            let rest = brief(Duration::from_millis(*retry_in_ms));
            format!("failed {}: {status} {why} (attempt {attempts}, next in {rest})", save(name))
        }
        Event::Dead { name, attempts, status, why } => {
            let status = status.map_or_else(String::new, |status| format!("{status} "));
            format!(
                "dead letter {}: {status}{why} (after {attempts} attempts); see `dead show {}`",
                save(name),
                name.seq
            )
        }
        Event::NetworkDown { why } => format!("the server cannot be reached: {why}"),
        Event::NetworkUp => "the server can be reached again".to_owned(),
        Event::Offline => "offline: the file `offline` is there".to_owned(),
        Event::Online => "online: the file `offline` is gone".to_owned(),
        Event::NotAuthorized { why } => format!("everything waits until the configuration changes: {why}"),
        Event::Paused => "paused".to_owned(),
        Event::Resumed => "resumed".to_owned(),
        Event::Configured => "the configuration was read".to_owned(),
        Event::BadConfig { why } => format!("the configuration before stays: {why}"),
        Event::StoreFailed { why } => format!("the store cannot be used, and is tried again: {why}"),
        Event::StoreWorks => "the store can be used again".to_owned(),
        Event::Drained => return None,
        Event::Stopping => "stopping: what is on its way may arrive".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Level;

    #[test]
    fn one_line_says_how_it_stands() {
        let level = Level { pending: 8_412, next_in_ms: Some(4_200), ..Level::default() };
        let mut figures = Figures { level, sent: 1_588, sent_per_second: 3_600, ..Figures::default() };
        assert_eq!(summary(&figures), "pending 8 412 · sent 1 588 (3 600/s) · dead 0 · ONLINE · next try 4 s");
        figures = Figures { level: Level { dead: 2, link: LinkState::Offline, ..Level::default() }, ..figures };
        figures.sent_per_second = 0;
        assert_eq!(summary(&figures), "pending 0 · sent 1 588 · dead 2 · OFFLINE");
    }
}
