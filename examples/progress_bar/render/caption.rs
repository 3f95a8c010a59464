//! The words that say where a job is, the same for the bar and for plain lines.

use crate::progress::View;
use crate::progress::flag;
use crate::text;

/// `1.2 GiB of 3.0 GiB · 312 of 4 213 files · 1.5 GiB/s · 1.2 s left`, or what is known of it.
pub(crate) fn caption(view: &View) -> String {
    let mut caption = match view.total {
        Some(total) => format!(
            "{} of {} · {} of {} files",
            text::bytes(view.bytes),
            text::bytes(total.bytes),
            text::count(view.files),
            text::count(total.files),
        ),
        None => format!("{} · {} files", text::bytes(view.bytes), text::count(view.files)),
    };
    caption.push_str(" · ");
    caption.push_str(&text::rate(view.rate));
    if let Some(eta) = view.eta() {
        caption.push_str(" · ");
        caption.push_str(&text::duration(eta));
        caption.push_str(" left");
    }
    if view.has(flag::FAILED) {
        caption.push_str(" · with failures");
    }
    if view.has(flag::CHANGED) {
        caption.push_str(" · files are changing");
    }
    caption
}

/// `42.0 %`
pub(crate) fn percent(permille: u32) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}
