//! An object a line, for programs.

use super::Render;
use crate::listing::Failure;
use crate::progress::View;
use crate::report::Summary;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// Writes `{"event":"progress",..}` for every frame, `"failure"` for every complaint and one `"summary"`.
///
/// What is not known yet is `null`. Times are seconds, sizes bytes.
pub(super) struct Json<W> {
    out: W,
}

impl<W: io::Write> Json<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: io::Write + Send> Render for Json<W> {
    fn draw(&mut self, view: &View) {
        let object = Object::new("progress")
            .seconds("elapsed", Some(view.elapsed))
            .number("bytes", Some(view.bytes))
            .number("bytes_total", view.total.map(|total| total.bytes))
            .number("files", Some(view.files))
            .number("files_total", view.total.map(|total| total.files))
            .decimal("percent", view.permille().map(|permille| f64::from(permille) / 10.0))
            .number("bytes_per_second", Some(view.rate as u64))
            .seconds("eta", view.eta())
            .number("flags", Some(view.flags))
            .truth("paused", view.paused);
        super::write_line(&mut self.out, object.end());
    }

    fn complain(&mut self, failure: &Failure) {
        let object = Object::new("failure").text("path", &failure.what).text("error", &failure.why);
        super::write_line(&mut self.out, object.end());
    }

    fn status(&mut self, view: &View) {
        self.draw(view);
    }

    fn finish(&mut self, view: &View, summary: &Summary) {
        self.draw(view);
        let Summary { elapsed, results, deliveries, pauses, cancelled } = summary;
        let object = Object::new("summary")
            .seconds("elapsed", Some(*elapsed))
            .number("files", Some(results.files))
            .number("bytes_hashed", Some(results.bytes))
            .number("bytes_delivered", Some(deliveries.sum))
            .number("bytes_total", view.total.map(|total| total.bytes))
            .decimal("percent", view.permille().map(|permille| f64::from(permille) / 10.0))
            .number("failed", Some(results.failed))
            .number("mismatched", Some(results.mismatched))
            .number("merges", Some(results.merges))
            .number("handler_calls", Some(deliveries.calls))
            .number("redraws", Some(deliveries.redraws))
            .decimal("coalescing", Some(summary.coalescing()))
            .number("largest_merge", Some(deliveries.largest))
            .number("bytes_per_second", Some(summary.bytes_per_second() as u64))
            .number("pauses", Some(pauses.times))
            .seconds("paused", Some(pauses.time))
            .truth("cancelled", *cancelled);
        super::write_line(&mut self.out, object.end());
    }
}

/// A JSON object of which only the end is still missing.
struct Object(String);

impl Object {
    fn new(event: &str) -> Self {
        Self("{".to_owned()).text("event", event)
    }

    fn field(mut self, name: &str, value: std::fmt::Arguments<'_>) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{name}\":{value}");
        self
    }

    fn number(self, name: &str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.field(name, format_args!("{value}")),
            None => self.field(name, format_args!("null")),
        }
    }

    fn decimal(self, name: &str, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.field(name, format_args!("{value:.1}")),
            None => self.field(name, format_args!("null")),
        }
    }

    fn seconds(self, name: &str, value: Option<Duration>) -> Self {
        match value {
            Some(value) => self.field(name, format_args!("{:.3}", value.as_secs_f64())),
            None => self.field(name, format_args!("null")),
        }
    }

    fn truth(self, name: &str, value: bool) -> Self {
        self.field(name, format_args!("{value}"))
    }

    fn text(self, name: &str, value: &str) -> Self {
        let mut quoted = String::from('"');
        for c in value.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                // Writing to a string cannot fail.
                c if c < ' ' => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        self.field(name, format_args!("{quoted}"))
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Total;
    use crate::progress;
    use crate::progress::flag;

    fn written(act: impl FnOnce(&mut Json<Vec<u8>>)) -> String {
        let mut json = Json::new(Vec::new());
        act(&mut json);
        String::from_utf8(json.out).unwrap()
    }

    #[test]
    fn a_frame_says_null_for_what_is_not_known() {
        let view = View { flags: flag::SKIPPED, ..progress::tests::view(10, 0, None, Duration::from_secs(1)) };
        assert_eq!(
            written(|json| json.draw(&view)),
            "{\"event\":\"progress\",\"elapsed\":1.000,\"bytes\":10,\"bytes_total\":null,\"files\":0,\
             \"files_total\":null,\"percent\":null,\"bytes_per_second\":10,\"eta\":null,\"flags\":2,\"paused\":false}\n"
        );
    }

    #[test]
    fn a_name_is_quoted() {
        let failure = Failure { what: "a\"b\\c\u{7}".into(), why: "ä".into() };
        assert_eq!(
            written(|json| json.complain(&failure)),
            "{\"event\":\"failure\",\"path\":\"a\\\"b\\\\c\\u0007\",\"error\":\"ä\"}\n"
        );
    }

    #[test]
    fn the_summary_is_the_last_line_and_has_every_sum() {
        let total = Total { files: 4213, bytes: 12 << 30 };
        let view = progress::tests::view(total.bytes, total.files, Some(total), Duration::from_millis(8100));
        let text = written(|json| json.finish(&view, &crate::report::tests::example()));
        let summary = text.lines().last().unwrap();
        for field in [
            "\"event\":\"summary\"",
            "\"bytes_hashed\":12884901888",
            "\"bytes_delivered\":12884901888",
            "\"bytes_total\":12884901888",
            "\"percent\":100.0",
            "\"merges\":51902",
            "\"handler_calls\":81",
            "\"coalescing\":640.8",
            "\"pauses\":0,\"paused\":0.000,\"cancelled\":false}",
        ] {
            assert!(summary.contains(field), "{field} in {summary}");
        }
    }
}
