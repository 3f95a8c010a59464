//! Times as people write and read them.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Understands `250ms`, `1.5s`, `5min`, `2h`, and a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit:?}: ms, s, min and h are known")),
    };
    match number.trim().parse::<f64>().map(|number| Duration::try_from_secs_f64(number * seconds)) {
        Ok(Ok(duration)) => Ok(duration),
        _ => Err(format!("{text:?} is not a time; 250ms, 5s and 2min are")),
    }
}

/// A time in as few words as it takes.
pub(crate) fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds since 1970 by the machine's clock, for people, and to say across a restart how long a save rests. Nothing
/// is ordered by it.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood() {
        for (text, ms) in
            [("250ms", 250), ("1.5s", 1_500), ("7", 7_000), ("2 min", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "5y", "nan", "1e99h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([0, 999, 1_000, 1_234_567, -1_000].map(grouped), ["0", "999", "1 000", "1 234 567", "-1 000"]);
        let brief = |ms| brief(Duration::from_millis(ms));
        assert_eq!([5, 4_200, 119_000, 600_000, 7_200_000].map(brief), ["5 ms", "4 s", "119 s", "10 min", "2 h"]);
    }
}
