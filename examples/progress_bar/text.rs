//! Figures and names as a person reads them.

use std::path::Path;
use std::time::Duration;

/// `4213` as `4 213`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the largest binary unit of which there is at least one: `12.4 GiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0, which is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A speed: `1.5 GiB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    // A float-to-integer cast saturates, so no speed is too large for it.
    format!("{}/s", bytes(bytes_per_second.round() as u64))
}

/// A span of time: `8.1 s`, `2 min 03 s`, `1 h 02 min`.
pub(crate) fn duration(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    if seconds < 3600 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60)
    }
}

/// A path for a message: one line, and nothing in it that a terminal would obey.
pub(crate) fn path(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!([0, 12, 999, 1000, 4213, 1_234_567].map(count), ["0", "12", "999", "1 000", "4 213", "1 234 567"]);
    }

    #[test]
    fn bytes_take_the_largest_unit_that_fits() {
        assert_eq!(
            [0, 1023, 1024, 1_048_575, 1_048_576, 13_314_398_618].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "12.4 GiB"]
        );
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn spans_change_their_unit_without_a_gap() {
        let text = |s| duration(Duration::from_secs_f64(s));
        assert_eq!(text(8.14), "8.1 s");
        assert_eq!(text(59.96), "1 min 00 s");
        assert_eq!(text(123.4), "2 min 03 s");
        assert_eq!(text(3725.0), "1 h 02 min");
    }

    #[test]
    fn a_path_in_a_message_cannot_steer_the_terminal() {
        assert_eq!(path(Path::new("a\u{1b}[2Jb\r\nc")), "a\\u{1b}[2Jb\\r\\nc");
    }
}
