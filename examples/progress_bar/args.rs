//! The command line.

use crate::demos;
use crate::demos::Demo;
use crate::digest::Algorithm;
use crate::pause::PauseMode;
use crate::render::Style;
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use clap::value_parser;
use glob::Pattern;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

const EXIT_CODES: &str = "Exit codes: 0 all done; 1 some files failed (they are listed on the standard error, the \
                          rest is done); 2 wrong usage; 3 --check found a digest that does not match; \
                          129, 130, 143 ended by SIGHUP, by q or Ctrl-C, by SIGTERM.";

const KEYS: &str = "Keys, if the bar is on your terminal and the digests do not go through a pipe: p or space pauses and goes on; + and - change how many \
                    files are hashed at the same time, up to --jobs; s says where the job is, on a line that stays; q \
                    ends it, as Ctrl-C does, and the second time at once. SIGUSR1 pauses and goes on as well, and \
                    Ctrl-\\ is s.";

/// Hashes files and directory trees, and shows how far it is.
///
/// Writes a line `DIGEST  PATH` for every regular file, as b3sum and sha256sum do: in the order of the arguments, below
/// a directory sorted by name.
#[derive(Debug, Parser)]
#[command(
    name = "progress_bar",
    after_help = format!("{KEYS}\n\n{EXIT_CODES}\n\n{}", demos::list())
)]
pub(crate) struct Args {
    /// Files and directories to hash
    #[arg(value_name = "PATH", required_unless_present_any = ["check", "demo"], conflicts_with = "check")]
    pub(crate) paths: Vec<PathBuf>,

    /// Files that are hashed at the same time
    #[arg(short, long, value_name = "N", default_value_t = cores(), value_parser = between(1, 256))]
    pub(crate) jobs: usize,

    /// Hash function
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algo: Algorithm,

    /// Most redraws a second
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=60))]
    pub(crate) fps: u32,

    /// How to show progress, on the standard error
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    pub(crate) progress: Style,

    /// Time between plain lines, such as 500ms, 5s or 1m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) plain_every: Duration,

    /// Write to FILE, which is replaced when everything is done, instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Read digests from FILE (- is the standard input) and verify them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["exclude", "follow"])]
    pub(crate) check: Option<PathBuf>,

    /// Leave out what matches GLOB: a name, or with a slash in it the path below PATH; may be given more than once
    #[arg(long, value_name = "GLOB", value_parser = Pattern::new)]
    pub(crate) exclude: Vec<Pattern>,

    /// Follow symbolic links below PATH
    #[arg(long)]
    pub(crate) follow: bool,

    /// Read at most so many MiB a second
    #[arg(long, value_name = "MiB/s", value_parser = mebibytes)]
    pub(crate) throttle: Option<f64>,

    /// What stands still in a pause
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub(crate) pause_mode: PauseMode,

    /// Most files between the walk and the output; bounds the memory
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = between(1, 1 << 30))]
    pub(crate) queue_depth: usize,

    /// Hash nothing, and play one of the seven demos below
    #[arg(long, value_name = "N", value_parser = demos::numbered, exclusive = true)]
    pub(crate) demo: Option<&'static Demo>,
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from).min(256)
}

fn between(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit:?}: ms, s, m and h are known")),
    };
    match number.parse::<f64>().map(|number| Duration::try_from_secs_f64(number * seconds)) {
        Ok(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err("not a positive time".into()),
    }
}

/// MiB a second as bytes a second.
fn mebibytes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.001 => Ok(number * 1024.0 * 1024.0),
        _ => Err("not a number of at least 0.001".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Args, ErrorKind> {
        Args::try_parse_from(["progress_bar"].into_iter().chain(line.split_whitespace())).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_have_the_documented_defaults() {
        let args = parse("a b").unwrap();
        assert_eq!(args.paths, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!((args.fps, args.queue_depth, args.plain_every), (10, 1024, Duration::from_secs(5)));
        assert_eq!((args.algo, args.progress), (Algorithm::Blake3, Style::Auto));
        assert_eq!(args.pause_mode, PauseMode::Gate);
        assert!(args.jobs >= 1 && args.output.is_none() && args.throttle.is_none() && !args.follow);
    }

    #[test]
    fn options_are_understood() {
        let args = parse("-j 3 --algo sha256 --fps 60 --plain-every 250ms --throttle 0.5 --exclude *.o --exclude b x");
        let args = args.unwrap();
        assert_eq!((args.jobs, args.algo, args.fps), (3, Algorithm::Sha256, 60));
        assert_eq!((args.plain_every, args.throttle), (Duration::from_millis(250), Some(524_288.0)));
        assert_eq!(args.exclude.len(), 2);
        assert_eq!(parse("--check sums").unwrap().check, Some("sums".into()));
        assert_eq!(parse("--pause-mode=source x").unwrap().pause_mode, PauseMode::Source);
        assert!(parse("--demo 7").unwrap().demo.is_some());
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "",
            "--check sums path",
            "--check sums --follow",
            "-j 0 x",
            "--fps 61 x",
            "--fps 0 x",
            "--queue-depth 0 x",
            "--plain-every 0s x",
            "--plain-every 5y x",
            "--throttle -1 x",
            "--throttle nan x",
            "--algo md5 x",
            "--pause-mode never x",
            "--exclude [ x",
            "--demo 0",
            "--demo 8",
            "--demo one",
            "--demo 1 x",
            "--demo 1 -j 2",
            "--unknown x",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
