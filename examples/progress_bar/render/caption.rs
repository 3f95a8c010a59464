//! The words that say where a job is, the same for the bar and for plain lines.

use crate::progress::View;
use crate::progress::flag;
use crate::text;

/// `42.0 %`, or what is said as long as nobody knows.
pub(crate) fn percent(view: &View) -> String {
    match view.permille() {
        Some(permille) => format!("{}.{} %", permille / 10, permille % 10),
        None => "counting".to_owned(),
    }
}

/// `1.2 GiB of 3.0 GiB · 312 of 4 213 files · 1.5 GiB/s`
pub(crate) fn amounts(view: &View) -> String {
    let (bytes, files) = (text::bytes(view.bytes), text::count(view.files));
    let rate = text::rate(view.rate);
    match view.total {
        Some(total) => {
            let (all_bytes, all_files) = (text::bytes(total.bytes), text::count(total.files));
            format!("{bytes} of {all_bytes} · {files} of {all_files} files · {rate}")
        }
        None => format!("{bytes} · {files} files · {rate}"),
    }
}

/// `1.2 s left · 2 jobs · failures`; empty when there is nothing to add.
pub(crate) fn outlook(view: &View) -> String {
    let left = match view.paused {
        true => Some("paused".to_owned()),
        false => view.eta().map(|eta| format!("{} left", text::duration(eta))),
    };
    let jobs = view.jobs.map(|jobs| format!("{jobs} {}", if jobs == 1 { "job" } else { "jobs" }));
    let failures = view.has(flag::FAILED).then(|| "failures".to_owned());
    let changes = view.has(flag::CHANGED).then(|| "files are changing".to_owned());
    let remarks: Vec<String> = [left, jobs, failures, changes].into_iter().flatten().collect();
    remarks.join(" · ")
}

/// Everything in one line.
pub(crate) fn line(view: &View) -> String {
    let (percent, amounts, outlook) = (percent(view), amounts(view), outlook(view));
    match outlook.is_empty() {
        true => format!("{percent}  {amounts}"),
        false => format!("{percent}  {amounts} · {outlook}"),
    }
}
