//! Runs shell commands, two at a time, and tells of each how it has ended and what it has cost, as it ends.
//!
//! ```sh
//! cargo run --example reap -- 'make -s' 'gzip -k *.txt' 'exit 3'
//! ```
//!
//! Without arguments it runs a few of its own. Nobody blocks in a wait for a child, and nobody catches `SIGCHLD`: each child
//! has a source, whose handler gives back the permit of the child, for the next one.

use concourse::Group;
use concourse::Queue;
use concourse::Semaphore;
use concourse::Source;
use concourse::source::Exit;
use std::error::Error;
use std::process::Command;

const AT_A_TIME: usize = 2;

const OWN: [&str; 6] = [
    "sleep 0.3",
    "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done",
    "true",
    "exit 3",
    "kill -TERM $$",
    "head -c 20000000 /dev/urandom >/dev/null",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut commands: Vec<String> = std::env::args().skip(1).collect();
    if commands.is_empty() {
        commands = OWN.map(String::from).to_vec();
    }
    let (reports, permits, all) = (Queue::serial("reports"), Semaphore::new(AT_A_TIME), Group::new());
    let mut sources = Vec::new();
    for command in commands {
        let permit = permits.acquire();
        let child = Command::new("sh").args(["-c", &command]).spawn()?;
        let mut held = Some((permit, all.enter()));
        let source = Source::child(&reports, child).on_event(move |exit| {
            println!("{}  {command}", report(&exit));
            drop(held.take());
        });
        sources.push(source.activate()?);
    }
    all.wait();
    println!("{} children have ended, at most {AT_A_TIME} at a time", sources.len());
    Ok(())
}

/// A line about a child, as far as the system has told.
fn report(exit: &Exit) -> String {
    let status = exit.status.map_or_else(|| "status unknown".to_owned(), |status| status.to_string());
    let times = exit.times.map_or_else(
        || "times unknown".to_owned(),
        |times| format!("{:4.2} s user {:4.2} s system", times.user.as_secs_f64(), times.system.as_secs_f64()),
    );
    format!("{:7}  {status:20}  {times}", exit.pid)
}
