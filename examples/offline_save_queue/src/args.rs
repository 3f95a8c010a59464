//! The command line.

use crate::failure::EXIT_CODES;
use crate::op::Seq;
use crate::plan::OnDead;
use crate::server::FAULTS;
use crate::server::Fault;
use crate::store::Coalesce;
use crate::store::Full;
use crate::text;
use clap::Parser;
use clap::Subcommand;
use clap::value_parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const FIRST_STEPS: &str = "\
First steps, with a server to try it with:
  offline_save_queue serve &                              a server that keeps what it is sent in server.log
  offline_save_queue save note/1 '{\"text\":\"hello\"}'       durable when its line `SEQ IDEM` is printed, network or not
  offline_save_queue --server http://127.0.0.1:8080 run   sends what was saved, and goes on until Ctrl-C
  offline_save_queue status                               how many wait, what is dead, who sends

Files in DIR: queue.db is the store, an SQLite database; queue.toml says how to send (server, token, timeout, lanes, ...; see
the README) and is read again when it changes; while a file named `offline` exists, nothing is sent.";

/// Saves that survive everything: stored before they are acknowledged, sent in order per key, applied once.
#[derive(Debug, Parser)]
#[command(name = "offline_save_queue", version, after_help = format!("{FIRST_STEPS}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The directory of the queue
    #[arg(long, global = true, value_name = "DIR", default_value = "saves")]
    pub(crate) dir: PathBuf,

    /// Where to send; otherwise `server` in DIR/queue.toml says so
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,

    /// Print JSON, a line for each thing
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Tell of each save by itself
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Print nothing but receipts, what was asked for, and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store what the object under KEY becomes, and print a receipt `SEQ IDEM` when it is on the disk
    Save {
        key: String,
        /// The new object; - or nothing reads it from the standard input
        #[arg(value_name = "JSON")]
        object: Option<String>,
        #[command(flatten)]
        saving: Saving,
    },
    /// Store that the object under KEY goes away, and print a receipt
    Delete {
        key: String,
        #[command(flatten)]
        saving: Saving,
    },
    /// Store a save for each line {"key": .., "body": ..} or {"key": .., "delete": true}, and print their receipts as they
    /// are on the disk
    Import {
        /// - is the standard input
        file: PathBuf,
        #[command(flatten)]
        rules: RuleArgs,
    },
    /// Send what is stored, until it is stopped
    Run(Run),
    /// Show how much is stored and who sends
    Status,
    /// Show everything that waits or is dead
    List {
        /// Only this key
        #[arg(long)]
        key: Option<String>,
    },
    /// See to the dead letters
    #[command(subcommand)]
    Dead(Dead),
    /// Send nothing until `resume`, also across restarts
    Pause,
    /// Send again
    Resume,
    /// Let everything that rests after a failure be due, and wait until nothing is left to send
    Flush {
        /// Give up after TIME, with exit code 3
        #[arg(long, value_name = "TIME", default_value = "1min", value_parser = text::duration)]
        timeout: Duration,
    },
    /// Be a server to try it with, which does wrong on request
    #[command(after_help = FAULTS)]
    Serve {
        /// Where to listen; port 0 is any that is free
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where to keep what is applied
        #[arg(long, value_name = "FILE", default_value = "server.log")]
        log: PathBuf,
        /// What to do wrong; may be given more than once
        #[arg(long, value_name = "FAULT")]
        fault: Vec<Fault>,
        /// Refuse who does not show this
        #[arg(long)]
        token: Option<String>,
    },
    /// Hold a server's log against the promises: each save once, each key in order, nothing missing
    Verify {
        log: PathBuf,
        /// Files with receipts, as `save` and `import` print them: each must be in the log
        #[arg(long, value_name = "FILE")]
        receipts: Vec<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Saving {
    /// Wait until it is sent, at most TIME, with exit code 3 if it is not and 7 if it is a dead letter
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1min", value_parser = text::duration)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct RuleArgs {
    /// What to do when the queue is full
    #[arg(long, value_enum)]
    pub(crate) full: Option<Full>,
    /// What a save does to those of its key that wait
    #[arg(long, value_enum)]
    pub(crate) coalesce: Option<Coalesce>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// End when nothing can be done for the moment, with exit code 3 if something is left
    #[arg(long)]
    pub(crate) once: bool,
    /// How many saves may be on their way at a time; with 1, all keys are one line [default: 4]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    pub(crate) lanes: Option<u16>,
    /// What a dead letter does to later saves of its key [default: skip]
    #[arg(long, value_enum)]
    pub(crate) on_dead: Option<OnDead>,
    /// If the store is damaged, move it aside and go on with what can be read of it
    #[arg(long)]
    pub(crate) recover: bool,
    /// End with exit code 7 if there are dead letters
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Show a line for each
    List,
    /// Show everything that is known of one
    Show { seq: Seq },
    /// Let them wait to be sent again, in their old places
    Retry(Which),
    /// Delete them
    Drop(Which),
    /// Print them as lines that `import` understands
    Export,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    pub(crate) seqs: Vec<Seq>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Args, clap::error::ErrorKind> {
        let words = ["offline_save_queue"].into_iter().chain(line.split_whitespace());
        Args::try_parse_from(words).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse("status").unwrap().dir, PathBuf::from("saves"));
        let args = parse("save a {} --dir d --server http://x --wait=2s --full drop-oldest").unwrap();
        let Command::Save { key, object, saving } = args.command else { panic!() };
        assert_eq!((key.as_str(), object.as_deref(), saving.wait), ("a", Some("{}"), Some(Duration::from_secs(2))));
        assert_eq!(saving.rules.full, Some(Full::DropOldest));
        let Command::Save { saving, .. } = parse("save a --wait -").unwrap().command else { panic!() };
        assert_eq!(saving.wait, Some(Duration::from_secs(60)));
        let Command::Run(run) = parse("run --once --lanes 1 --on-dead hold --strict").unwrap().command else {
            panic!()
        };
        assert_eq!((run.once, run.lanes, run.on_dead, run.strict), (true, Some(1), Some(OnDead::Hold), true));
        let Command::Serve { fault, .. } = parse("serve --fault lost:every=7 --fault html").unwrap().command else {
            panic!()
        };
        assert_eq!(fault.len(), 2);
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "",
            "save",
            "run --lanes 0",
            "run --lanes 257",
            "dead",
            "dead retry",
            "dead retry 1 --all",
            "dead drop x",
            "serve --fault nothing",
            "save a {} --wait=soon",
            "-v -q status",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
