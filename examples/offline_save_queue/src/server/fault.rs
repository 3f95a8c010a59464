//! What the server does wrong, on purpose.

use crate::text;
use std::str::FromStr;
use std::time::Duration;
use std::time::Instant;

/// For `--help`.
pub(crate) const HELP: &str = "\
A fault is KIND[:OPTION]..., as in --fault status=503:every=7 --fault lost:key=a:times=2. The first that matches a
request hits it. Kinds:
  status=N    answers N and does not apply; with :html a page instead of JSON
  html        answers 200 with a login page, as a captive portal does, also to GET /health
  close       ends the connection and does not apply
  reset       resets the connection and does not apply
  lost        applies and ends the connection without an answer
  hang        does not apply and never answers
  slow=TIME   applies and answers a byte at a time, with TIME between two
  lie         acknowledges another save than the one that was sent, and does not apply
  flap=TIME   is there for TIME and away for TIME, in turns
Options: every=N every Nth request only; after=N not the first N; times=N at most N times; key=KEY for this key only;
retry-after=S with status, sends Retry-After.";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Status { status: u16, html: bool, retry_after_s: Option<u64> },
    Html,
    Close,
    Reset,
    Lost,
    Hang,
    Slow(Duration),
    Lie,
    Flap(Duration),
}

/// A fault and when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    kind: Kind,
    every: u64,
    after: u64,
    times: Option<u64>,
    key: Option<String>,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (name, value) = pair(parts.next().unwrap_or_default());
        let kind = match (name, value) {
            ("status", Some(status)) => {
                let status = number(status)?.try_into().ok().filter(|status| (400..600).contains(status));
                Kind::Status { status: status.ok_or("a status from 400 to 599")?, html: false, retry_after_s: None }
            }
            ("html", None) => Kind::Html,
            ("close", None) => Kind::Close,
            ("reset", None) => Kind::Reset,
            ("lost", None) => Kind::Lost,
            ("hang", None) => Kind::Hang,
            ("slow", Some(pause)) => Kind::Slow(text::duration(pause)?),
            ("lie", None) => Kind::Lie,
            ("flap", Some(time)) => match text::duration(time)? {
                Duration::ZERO => return Err("flap needs a time".to_owned()),
                time => Kind::Flap(time),
            },
            _ => return Err(format!("{text:?} is no fault; see `serve --help`")),
        };
        let mut fault = Self { kind, every: 1, after: 0, times: None, key: None };
        for part in parts {
            match (pair(part), &mut fault.kind) {
                (("html", None), Kind::Status { html, .. }) => *html = true,
                (("retry-after", Some(s)), Kind::Status { retry_after_s, .. }) => *retry_after_s = Some(number(s)?),
                (("every", Some(n)), _) => fault.every = number(n)?.max(1),
                (("after", Some(n)), _) => fault.after = number(n)?,
                (("times", Some(n)), _) => fault.times = Some(number(n)?),
                (("key", Some(key)), _) => fault.key = Some(key.to_owned()),
                _ => return Err(format!("{part:?} does not go with {name}; see `serve --help`")),
            }
        }
        Ok(fault)
    }
}

fn pair(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// All faults of a server, with how often each was close to coming.
#[derive(Debug)]
pub(super) struct Faults {
    started: Instant,
    faults: Vec<(Fault, u64)>,
}

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { started: Instant::now(), faults: faults.into_iter().map(|fault| (fault, 0)).collect() }
    }

    /// What goes wrong with the next request for the object under `key`, if anything.
    pub(super) fn hit(&mut self, key: &str) -> Option<Kind> {
        self.first(|fault| fault.key.as_deref().is_none_or(|only| only == key))
    }

    /// What goes wrong with a look at the server's health. Only what keeps everybody from the server does.
    pub(super) fn hit_health(&mut self) -> Option<Kind> {
        self.first(|fault| fault.key.is_none() && matches!(fault.kind, Kind::Html | Kind::Flap(_)))
    }

    fn first(&mut self, concerns: impl Fn(&Fault) -> bool) -> Option<Kind> {
        let elapsed = self.started.elapsed();
        for (fault, seen) in self.faults.iter_mut().filter(|(fault, _)| concerns(fault)) {
            if matches!(fault.kind, Kind::Flap(time) if !is_away(time, elapsed)) {
                continue;
            }
            *seen += 1;
            // Which of those that are not spared it is, and how often the fault has come if it comes now.
            let counted = seen.saturating_sub(fault.after);
            let is_its_turn = counted > 0 && counted.is_multiple_of(fault.every);
            if is_its_turn && fault.times.is_none_or(|times| counted / fault.every <= times) {
                return Some(fault.kind);
            }
        }
        None
    }
}

/// Whether a server that comes and goes is away.
fn is_away(time: Duration, elapsed: Duration) -> bool {
    elapsed.as_nanos() / time.as_nanos().max(1) % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(spec: &[&str], keys: &[&str]) -> Vec<bool> {
        let mut faults = Faults::new(spec.iter().map(|spec| spec.parse().unwrap()).collect());
        keys.iter().map(|key| faults.hit(key).is_some()).collect()
    }

    #[test]
    fn a_fault_comes_when_it_is_told_to() {
        assert_eq!(hits(&["close"], &["a", "b"]), [true, true]);
        assert_eq!(hits(&["close:every=2"], &["a"; 4]), [false, true, false, true]);
        assert_eq!(hits(&["close:times=1"], &["a"; 3]), [true, false, false]);
        assert_eq!(hits(&["close:after=2"], &["a"; 4]), [false, false, true, true]);
        assert_eq!(hits(&["close:after=1:every=2:times=1"], &["a"; 6]), [false, false, true, false, false, false]);
        assert_eq!(hits(&["close:key=b"], &["a", "b", "a"]), [false, true, false]);
        assert_eq!(hits(&["flap=1h"], &["a"; 2]), [false, false]);
        assert_eq!(hits(&[], &["a"]), [false]);
    }

    #[test]
    fn the_first_that_matches_hits() {
        let mut faults =
            Faults::new(vec!["lost:key=b".parse().unwrap(), "status=503:html:retry-after=2".parse().unwrap()]);
        assert_eq!(faults.hit("b"), Some(Kind::Lost));
        assert_eq!(faults.hit("a"), Some(Kind::Status { status: 503, html: true, retry_after_s: Some(2) }));
    }

    #[test]
    fn a_portal_answers_for_the_servers_health_as_long_as_it_is_there() {
        let mut faults = Faults::new(vec!["html:times=2".parse().unwrap()]);
        assert_eq!(faults.hit_health(), Some(Kind::Html));
        assert_eq!(faults.hit("a"), Some(Kind::Html));
        assert_eq!(faults.hit("a"), None);
        assert_eq!(faults.hit_health(), None);
        assert_eq!(Faults::new(vec!["status=503".parse().unwrap()]).hit_health(), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "status",
            "status=200",
            "status=x",
            "nothing",
            "flap=0s",
            "slow",
            "close:html",
            "close:every=x",
            "close:x",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
