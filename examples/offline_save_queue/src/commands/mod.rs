//! What each command does.

mod dead;
mod flush;
mod import;
mod list;
mod run;
mod save;
mod status;
mod wait;

use crate::args::Args;
use crate::args::Command;
use crate::args::RuleArgs;
use crate::config::Config;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::home::Home;
use crate::op::Change;
use crate::op::Draft;
use crate::op::LARGEST_BODY;
use crate::server;
use crate::server::Server;
use crate::store::Rules;
use crate::store::Store as _;
use crate::verify::Findings;
use crate::verify::verify;
use serde::Serialize;
use std::io;
use std::io::Write as _;

/// A longer key would not fit into a path everywhere.
const LONGEST_KEY: usize = 512;

/// Does what the command line says.
pub(crate) fn execute(args: Args) -> Result<(), Failure> {
    let home = || Home::open(&args.dir);
    match &args.command {
        Command::Save { key, object, saving } => {
            let change = Change::Put(save::body(object.as_deref())?);
            save::save(&home()?, draft(key.clone(), change)?, saving, args.json)
        }
        Command::Delete { key, saving } => save::save(&home()?, draft(key.clone(), Change::Delete)?, saving, args.json),
        Command::Import { file, rules } => import::import(&home()?, file, *rules, args.json),
        Command::Run(run) => run::run(&home()?, run, &args),
        Command::Status => status::status(&home()?, args.json),
        Command::List { key } => list::list(&home()?, key.as_deref(), args.json),
        Command::Dead(command) => dead::dead(&home()?, command, args.json),
        Command::Pause => pause(&home()?, true),
        Command::Resume => pause(&home()?, false),
        Command::Flush { timeout } => flush::flush(&home()?, *timeout),
        Command::Serve { listen, log, fault, token } => {
            let runtime = server::runtime()?;
            let server = Server::bind(&runtime, *listen, log, fault.clone(), token.clone())?;
            print(&format!("listening on http://{}", server.address()?))?;
            server.serve(&runtime)
        }
        Command::Verify { log, receipts } => {
            let findings = verify(log, receipts)?;
            let Findings { applied, applied_twice, inversions, acknowledged, lost } = findings;
            if args.json {
                print_json(&findings)?;
            } else {
                print(&format!(
                    "{applied} applied, {applied_twice} of them twice, {inversions} after a later save of their key\n\
                     {acknowledged} receipts, {lost} of them without their save"
                ))?;
            }
            if findings.is_good() { Ok(()) } else { Err(Failure::Internal("the promises are broken".to_owned())) }
        }
    }
}

fn pause(home: &Home, paused: bool) -> Result<(), Failure> {
    Ok(home.store()?.set_paused(paused)?)
}

/// The rules by which saves are taken: what the configuration says, and over it what the command line does.
fn rules(home: &Home, args: RuleArgs) -> Result<Rules, Failure> {
    let rules = Config::read(&home.config()).map_err(Failure::Usage)?.rules();
    Ok(Rules { full: args.full.unwrap_or(rules.full), coalesce: args.coalesce.unwrap_or(rules.coalesce), ..rules })
}

/// A save that can be taken at all.
fn draft(key: String, change: Change) -> Result<Draft, Failure> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Failure::Usage(format!("a key has from 1 to {LONGEST_KEY} bytes")));
    }
    match change.body() {
        Some(body) if body.len() > LARGEST_BODY => {
            Err(Failure::Usage(format!("an object has {LARGEST_BODY} bytes at most, and not {}", body.len())))
        }
        _ => Ok(Draft { key, change }),
    }
}

/// Writes a line to the standard output, which somebody may have closed.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("the standard output")
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value).context("JSON")?)
}
