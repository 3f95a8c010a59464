//! What goes over the wire, on both sides of it. The README writes it down for other servers.

use crate::op::Idem;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde_json::value::RawValue;

/// Names the save, the same each time it is sent.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Where the objects are.
pub(crate) const OBJECTS: &str = "/objects/";

/// Where a client asks whether the server is there.
pub(crate) const HEALTH: &str = "/health";

/// What a path can hold as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of the object under `key`. The keys `.` and `..` would be steps in a path, so their dots are encoded.
pub(crate) fn path(key: &str) -> String {
    if matches!(key, "." | "..") {
        return format!("{OBJECTS}{}", "%2E".repeat(key.len()));
    }
    format!("{OBJECTS}{}", utf8_percent_encode(key, UNRESERVED))
}

/// The key of an object's path.
pub(crate) fn key(path: &str) -> Option<String> {
    let key = percent_decode_str(path.strip_prefix(OBJECTS)?).decode_utf8().ok()?;
    (!key.is_empty()).then(|| key.into_owned())
}

/// The server has applied the save of this name, now or earlier. Nothing else is a success.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) idem: String,
    #[serde(default)]
    pub(crate) duplicate: bool,
}

/// The server is there.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) ok: bool,
}

/// Why the server does not apply a save.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: String,
}

/// Reads a value that is there, also if it is `null`: that is an object like any other.
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// What came back for a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Somebody answered.
    Answer { status: u16, retry_after_s: Option<u64>, body: String },
    /// Nobody did, or not to the end.
    Nothing(String),
}

/// What a reply means for the save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server has it.
    Applied { duplicate: bool },
    /// It did not get to the server, as far as anybody knows.
    NoNetwork { why: String },
    /// The server does not know us: nothing we send will do better.
    NotAuthorized { status: u16 },
    /// The server may take it later.
    Later { status: u16, retry_after_s: Option<u64>, why: String },
    /// The server will never take it.
    Refused { status: u16, why: String },
}

impl Reply {
    /// What it means for the save called `idem`.
    pub(crate) fn judge(&self, idem: &Idem) -> Verdict {
        let (status, retry_after_s, body) = match self {
            Self::Answer { status, retry_after_s, body } => (*status, *retry_after_s, body),
            Self::Nothing(why) => return Verdict::NoNetwork { why: why.clone() },
        };
        let ack = serde_json::from_str::<Ack>(body).ok().filter(|ack| ack.idem == idem.as_str());
        match (status, ack) {
            (200..=299, Some(ack)) => Verdict::Applied { duplicate: ack.duplicate },
            (409, Some(_)) => Verdict::Applied { duplicate: true },
            // Whoever says so is not the server: a captive portal answers, redirects, or asks for a login like this.
            (0..=399 | 511, _) => Verdict::NoNetwork { why: format!("{status} without the server's acknowledgement") },
            (401 | 403, _) => Verdict::NotAuthorized { status },
            (408 | 425 | 429 | 500.., _) => Verdict::Later { status, retry_after_s, why: reason(body) },
            (400..=499, _) => Verdict::Refused { status, why: reason(body) },
        }
    }
}

/// What a server says of its reasons: its own words, or the beginning of whatever it sent.
fn reason(body: &str) -> String {
    serde_json::from_str::<Refusal>(body)
        .map_or_else(|_| body.trim().chars().take(120).collect(), |refusal| refusal.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> Verdict {
        let reply = Reply::Answer { status, retry_after_s: Some(2), body: body.to_owned() };
        reply.judge(&Idem::new("me", 7))
    }

    const ACK: &str = r#"{"idem":"me-7"}"#;

    #[test]
    fn only_the_acknowledgement_of_the_very_save_is_a_success() {
        assert_eq!(judge(200, ACK), Verdict::Applied { duplicate: false });
        assert_eq!(judge(201, r#"{"idem":"me-7","duplicate":true,"more":1}"#), Verdict::Applied { duplicate: true });
        assert_eq!(judge(409, ACK), Verdict::Applied { duplicate: true });
        for (status, body) in [(200, "<html>Sign in</html>"), (200, ""), (200, r#"{"idem":"me-8"}"#), (204, "")] {
            assert!(matches!(judge(status, body), Verdict::NoNetwork { .. }), "{status} {body}");
        }
    }

    #[test]
    fn a_portal_or_silence_is_no_network() {
        for (status, body) in [(302, ""), (307, ACK), (511, "<html>"), (100, "")] {
            assert!(matches!(judge(status, body), Verdict::NoNetwork { .. }), "{status} {body}");
        }
        let silence = Reply::Nothing("connection refused".to_owned());
        assert_eq!(silence.judge(&Idem::new("me", 7)), Verdict::NoNetwork { why: "connection refused".to_owned() });
    }

    #[test]
    fn what_may_pass_is_tried_again_whoever_says_so() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            for body in ["", "<html>Bad gateway</html>", r#"{"error":"busy"}"#, ACK] {
                let verdict = judge(status, body);
                assert!(
                    matches!(verdict, Verdict::Later { retry_after_s: Some(2), .. }),
                    "{status} {body} {verdict:?}"
                );
            }
        }
    }

    #[test]
    fn a_server_that_does_not_know_us_blocks_and_drops_nothing() {
        assert_eq!(judge(401, ACK), Verdict::NotAuthorized { status: 401 });
        assert_eq!(judge(403, ""), Verdict::NotAuthorized { status: 403 });
    }

    #[test]
    fn what_is_wrong_with_the_save_itself_is_final() {
        for status in [400, 404, 409, 410, 413, 422, 499] {
            let verdict = judge(status, r#"{"error":"no such thing"}"#);
            assert_eq!(verdict, Verdict::Refused { status, why: "no such thing".to_owned() });
        }
        assert!(matches!(judge(409, r#"{"idem":"me-8"}"#), Verdict::Refused { .. }));
    }

    #[test]
    fn any_key_survives_its_path() {
        for name in ["a", "a/b", ".", "..", "a b?c#d%2F", "grün", "\u{0}\n", "~_-."] {
            let path = path(name);
            assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte)), "{path}");
            assert!(!path[OBJECTS.len()..].contains('/'), "{path}");
            assert_eq!(key(&path).as_deref(), Some(name));
        }
        assert_eq!(key("/objects/"), None);
        assert_eq!(key("/objects/%ff"), None);
        assert_eq!(key("/health"), None);
    }
}
