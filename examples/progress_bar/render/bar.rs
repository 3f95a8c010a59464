//! A bar, and a line of figures below it, at the bottom of a terminal.

use super::Curtain;
use super::Render;
use super::caption;
use crate::listing::Failure;
use crate::progress::View;
use crate::report::Summary;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressState;
use indicatif::ProgressStyle;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Frames a second that indicatif lets through. Above our own limit, as it would drop the frames that are too many.
const HZ: u8 = 255;

pub(super) struct Bar {
    bar: ProgressBar,
    /// Where the bar is drawn, as if nothing had been drawn there.
    fresh: Box<dyn Fn() -> ProgressDrawTarget + Send>,
    /// Where lines go that stand above or below the bar.
    lines: Box<dyn io::Write + Send>,
    captions: Arc<Mutex<Captions>>,
    colour: bool,
    total_known: bool,
}

/// What stands left of the bar, right of it and below.
#[derive(Default)]
struct Captions {
    percent: String,
    outlook: String,
    amounts: String,
}

impl Bar {
    pub(super) fn on_stderr(colour: bool) -> Self {
        Self::on(|| ProgressDrawTarget::stderr_with_hz(HZ), Box::new(io::stderr()), colour)
    }

    fn on(
        target: impl Fn() -> ProgressDrawTarget + Send + 'static,
        lines: Box<dyn io::Write + Send>,
        colour: bool,
    ) -> Self {
        let bar = Self {
            bar: ProgressBar::with_draw_target(None, target()),
            fresh: Box::new(target),
            lines,
            captions: Arc::default(),
            colour,
            total_known: false,
        };
        bar.set_style("{spinner} {percent} {outlook}\n{amounts}");
        bar
    }

    /// The captions are read while indicatif draws: so one change of the position draws one frame, not one per field.
    fn set_style(&self, template: &str) {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let key = |pick: fn(&Captions) -> &str| {
            let captions = Arc::clone(&self.captions);
            move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let captions = captions.lock();
                // Only a broken sink fails, and the frame is lost with it.
                let _ = out.write_str(pick(&captions));
            }
        };
        self.bar.set_style(
            style
                .progress_chars("━╸─")
                .with_key("percent", key(|captions| &captions.percent))
                .with_key("outlook", key(|captions| &captions.outlook))
                .with_key("amounts", key(|captions| &captions.amounts)),
        );
    }
}

impl Render for Bar {
    fn draw(&mut self, view: &View) {
        if view.total.is_some() && !self.total_known {
            self.total_known = true;
            self.set_style(match self.colour {
                true => "{percent} {wide_bar:.cyan} {outlook}\n{amounts}",
                false => "{percent} {wide_bar} {outlook}\n{amounts}",
            });
        }
        *self.captions.lock() = Captions {
            percent: format!("{:>7}", caption::percent(view)),
            outlook: caption::outlook(view),
            amounts: caption::amounts(view),
        };
        self.bar.update(|state| {
            state.set_pos(u64::from(view.permille().unwrap_or(0)));
            if view.total.is_some() {
                state.set_len(1000);
            }
        });
    }

    fn complain(&mut self, failure: &Failure) {
        self.bar.suspend(|| super::complain(&mut self.lines, failure));
    }

    fn status(&mut self, view: &View) {
        self.bar.suspend(|| super::write_line(&mut self.lines, caption::line(view)));
    }

    fn step_aside(&mut self) {
        // The last frame stays above whatever others write. The new target knows nothing of it, and does not look for it.
        super::write_line(&mut self.lines, "");
        self.bar.set_draw_target((self.fresh)());
    }

    fn finish(&mut self, view: &View, summary: &Summary) {
        self.draw(view);
        // Draws without asking any limiter, and leaves the bar where it is.
        self.bar.abandon();
        // indicatif leaves the cursor at the right end of its last line.
        super::write_line(&mut self.lines, format_args!("\n{summary}"));
    }

    fn curtain(&self) -> Curtain {
        Curtain(Some(self.bar.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Total;
    use crate::progress;
    use indicatif::InMemoryTerm;
    use indicatif::TermLike as _;
    use std::time::Duration;

    /// Writes below the bar on the same terminal.
    struct Lines(InMemoryTerm);

    impl io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let text = std::str::from_utf8(text).map_err(io::Error::other)?;
            // A terminal makes both of a newline.
            self.0.write_str(&text.replace('\n', "\r\n"))?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn bar(colour: bool) -> (Bar, InMemoryTerm) {
        let term = InMemoryTerm::new(10, 80);
        let shown = term.clone();
        let target = move || ProgressDrawTarget::term_like_with_hz(Box::new(shown.clone()), HZ);
        (Bar::on(target, Box::new(Lines(term.clone())), colour), term)
    }

    fn view(bytes: u64, total: Option<u64>) -> View {
        let total = total.map(|bytes| Total { files: 2, bytes });
        progress::tests::view(bytes, 1, total, Duration::from_secs(1))
    }

    #[test]
    fn a_spinner_turns_until_the_total_is_known() {
        let (mut bar, term) = bar(false);
        bar.draw(&view(1024, None));
        let first = term.contents();
        assert!(first.ends_with("counting\n1.0 KiB · 1 files · 1.0 KiB/s"), "{first}");
        bar.draw(&view(1024, None));
        assert_ne!(term.contents(), first);
        bar.draw(&view(1024, Some(4096)));
        let known = term.contents();
        assert!(known.starts_with(" 25.0 % ━"), "{known}");
        assert!(known.ends_with("─ 3.0 s left\n1.0 KiB of 4.0 KiB · 1 of 2 files · 1.0 KiB/s"), "{known}");
    }

    #[test]
    fn the_last_frame_is_drawn_however_soon_it_comes() {
        let (mut bar, term) = bar(false);
        for bytes in 0..=1000 {
            bar.draw(&view(bytes, Some(1000)));
        }
        bar.finish(&view(1000, Some(1000)), &crate::report::tests::example());
        assert!(term.contents().starts_with("100.0 % ━"), "{}", term.contents());
        assert!(!term.contents().contains('─'), "{}", term.contents());
    }

    #[test]
    fn colours_are_left_out_on_request() {
        let (mut bar, term) = bar(false);
        bar.draw(&view(500, Some(1000)));
        let drawn = String::from_utf8(term.contents_formatted()).unwrap();
        assert!(!drawn.contains("\u{1b}[36m"), "{drawn:?}");
    }

    #[test]
    fn what_is_written_beside_the_bar_finds_it_lifted() {
        let (mut bar, term) = bar(false);
        bar.draw(&view(500, Some(1000)));
        let during = bar.curtain().lift(|| term.contents());
        assert_eq!(during, "");
        assert!(term.contents().starts_with(" 50.0 %"));
    }

    #[test]
    fn a_status_line_stays_above_the_bar() {
        let (mut bar, term) = bar(false);
        bar.draw(&view(500, Some(1000)));
        bar.status(&view(500, Some(1000)));
        bar.draw(&view(750, Some(1000)));
        let contents = term.contents();
        let lines: Vec<_> = contents.lines().collect();
        assert_eq!(lines.len(), 3, "{contents}");
        assert!(lines[0].starts_with("50.0 %  500 B of 1000 B · 1 of 2 files"), "{contents}");
        assert!(lines[1].starts_with(" 75.0 % ━"), "{contents}");
    }

    #[test]
    fn a_bar_that_has_stepped_aside_goes_on_below_what_others_write() {
        let (mut bar, term) = bar(false);
        bar.draw(&view(500, Some(1000)));
        bar.step_aside();
        term.write_line("the shell").unwrap();
        for bytes in [600, 700] {
            bar.draw(&view(bytes, Some(1000)));
        }
        let contents = term.contents();
        let lines: Vec<_> = contents.lines().collect();
        assert!(
            lines[0].starts_with(" 50.0 %") && lines[2] == "the shell" && lines[3].starts_with(" 70.0 %"),
            "{contents}"
        );
        assert_eq!(lines.len(), 5, "{contents}");
    }
}
