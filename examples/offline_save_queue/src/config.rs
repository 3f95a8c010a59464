//! The file `queue.toml`, which may say how saves are taken and sent.

use crate::plan::OnDead;
use crate::plan::Policy;
use crate::plan::Probes;
use crate::store::Coalesce;
use crate::store::Full;
use crate::store::Rules;
use crate::text;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What stands in `queue.toml`; what does not has its default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Option<String>,
    /// Sent as `Authorization: Bearer`.
    pub(crate) token: Option<String>,
    #[serde(default, deserialize_with = "time")]
    timeout: Option<Duration>,
    pub(crate) lanes: Option<usize>,
    pub(crate) on_dead: Option<OnDead>,
    max_attempts: Option<u32>,
    #[serde(default, deserialize_with = "time")]
    first_delay: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    longest_delay: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    first_probe: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    longest_probe: Option<Duration>,
    max_ops: Option<i64>,
    max_bytes: Option<i64>,
    pub(crate) full: Option<Full>,
    pub(crate) coalesce: Option<Coalesce>,
}

impl Config {
    /// Reads the file at `path`; without one everything has its default.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        match config {
            Self { lanes: Some(0), .. } => {
                Err("lanes = 0 would send nothing; `offline_save_queue pause` does that".to_owned())
            }
            Self { lanes: Some(257..), .. } => Err("more than 256 lanes are no use".to_owned()),
            Self { max_attempts: Some(0), .. } => Err("max_attempts = 0 would give everything up".to_owned()),
            _ => Ok(config),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }

    pub(crate) fn policy(&self) -> Policy {
        let default = Policy::default();
        Policy {
            lanes: self.lanes.unwrap_or(default.lanes),
            on_dead: self.on_dead.unwrap_or(default.on_dead),
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            first_delay: self.first_delay.unwrap_or(default.first_delay),
            longest_delay: self.longest_delay.unwrap_or(default.longest_delay),
            probes: Probes {
                first: self.first_probe.unwrap_or(default.probes.first),
                most: self.longest_probe.unwrap_or(default.probes.most),
            },
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        let default = Rules::default();
        Rules {
            max_ops: self.max_ops.unwrap_or(default.max_ops),
            max_bytes: self.max_bytes.unwrap_or(default.max_bytes),
            full: self.full.unwrap_or(default.full),
            coalesce: self.coalesce.unwrap_or(default.coalesce),
        }
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text::duration(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_all_defaults() {
        let config = Config::parse("").unwrap();
        assert_eq!((config.policy(), config.rules()), (Policy::default(), Rules::default()));
        assert_eq!(config.timeout(), Duration::from_secs(10));
    }

    #[test]
    fn everything_can_be_said() {
        let config = Config::parse(
            r#"
            server = "http://127.0.0.1:8080"
            token = "secret"
            timeout = "3s"
            lanes = 2
            on_dead = "hold"
            max_attempts = 5
            first_delay = "10ms"
            longest_delay = "1min"
            first_probe = "20ms"
            longest_probe = "1s"
            max_ops = 10
            max_bytes = 1000
            full = "drop-oldest"
            coalesce = "last"
            "#,
        )
        .unwrap();
        assert_eq!(
            config.rules(),
            Rules { max_ops: 10, max_bytes: 1000, full: Full::DropOldest, coalesce: Coalesce::Last }
        );
        assert_eq!(
            config.policy(),
            Policy {
                lanes: 2,
                on_dead: OnDead::Hold,
                max_attempts: 5,
                first_delay: Duration::from_millis(10),
                longest_delay: Duration::from_secs(60),
                probes: Probes { first: Duration::from_millis(20), most: Duration::from_secs(1) },
            }
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in
            ["servr = 'x'", "lanes = 0", "lanes = 300", "max_attempts = 0", "timeout = 'soon'", "full = 'maybe'", "="]
        {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
