//! `run`.

use crate::args::Args;
use crate::args::Run;
use crate::client::Client;
use crate::config::Config;
use crate::crash;
use crate::drain::Drain;
use crate::drain::Ending;
use crate::drain::Setup;
use crate::drain::Surroundings;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::home::Home;
use crate::plan::OnDead;
use crate::report::Reporter;
use crate::report::Style;
use crate::report::Witness;
use crate::text::grouped;
use crate::wake::Reasons;
use concourse::Runtime;
use concourse::Shutdown;
use std::fs;
use std::io;
use std::io::Write as _;
use std::process;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

/// How long a request that nobody waits for any more keeps the process.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// Sends what is stored.
pub(super) fn run(home: &Home, run: &Run, args: &Args) -> Result<(), Failure> {
    // Held until the end of the process.
    let _drainer = home.lock()?;
    crash::point("run.after_lock");
    let (store, salvage) = home.sound_store(run.recover)?;
    if let Some(salvage) = salvage {
        let kept_as = salvage.kept_as.display();
        let rescued = grouped(salvage.rescued as i64);
        // Nobody may be there to read it.
        let _ = writeln!(
            io::stderr(),
            "the store was damaged: {rescued} saves were read from it; all of it is in {kept_as}"
        );
    }
    let mut surroundings = Beside::new(home.clone(), run, args.server.clone());
    let lanes = surroundings.lanes()?;
    // A thread for each lane, one for the drain and one for what is told of it.
    let threads = lanes + 2;
    let runtime = Runtime::builder()
        .threads(threads)
        .max_threads(threads)
        .name("queue")
        // What was noted may be half of the truth. The store has all of it, and the next run begins with that.
        .on_panic(|_| process::exit(1))
        .build()
        .context("no threads")?;
    let style = match (args.json, args.quiet) {
        (true, _) => Style::Json,
        (_, true) => Style::Quiet,
        _ => Style::of_output(args.verbose),
    };
    let reporter = Arc::new(Reporter::new(&runtime.serial("ui"), style, home.live()));

    let witness = Arc::clone(&reporter) as Arc<dyn Witness>;
    let drain = Drain::start(&runtime, Box::new(store), Box::new(surroundings), witness, run.once)?;
    // Held until the end of the process, too: a second signal ends it at any time.
    let _reasons =
        Reasons::watch(home, drain.wake(), &runtime.serial("reasons")).context("nothing would wake the drain")?;
    drain.wait();
    let ending = drain.end();
    reporter.finish(&last_words(&ending));
    // A request that is still on its way is sent again by the next run, and the server knows it by its name.
    runtime.shutdown(Shutdown::CancelPending.within(LAST_MOMENT));
    outcome(ending, run)
}

fn last_words(ending: &Ending) -> String {
    let dead = if ending.dead > 0 { format!(", {} dead letters", grouped(ending.dead)) } else { String::new() };
    match ending.pending {
        0 => format!("everything is sent{dead}"),
        pending => format!("{} pending, kept{dead}", grouped(pending as i64)),
    }
}

fn outcome(ending: Ending, run: &Run) -> Result<(), Failure> {
    match ending {
        Ending { failure: Some(failure), .. } => Err(failure),
        Ending { pending, .. } if run.once && pending > 0 => {
            Err(Failure::Pending(format!("{} saves are still pending", grouped(pending as i64))))
        }
        Ending { dead, .. } if run.strict && dead > 0 => {
            Err(Failure::Dead(format!("{} dead letters; see `dead list`", grouped(dead))))
        }
        _ => Ok(()),
    }
}

/// What lies beside the store in its directory, and what the command line says over it.
struct Beside {
    home: Home,
    server: Option<String>,
    lanes: Option<usize>,
    on_dead: Option<OnDead>,
    /// When and how long the configuration was that was read last.
    seen: Option<(SystemTime, u64)>,
}

impl Beside {
    fn new(home: Home, run: &Run, server: Option<String>) -> Self {
        Self { home, server, lanes: run.lanes.map(usize::from), on_dead: run.on_dead, seen: None }
    }

    fn lanes(&mut self) -> Result<usize, Failure> {
        let config = Config::read(&self.home.config()).map_err(Failure::Usage)?;
        Ok(self.lanes.unwrap_or(config.policy().lanes))
    }

    fn read(&self) -> Result<Setup, String> {
        let config = Config::read(&self.home.config())?;
        let Some(server) = self.server.as_deref().or(config.server.as_deref()) else {
            return Err(format!("where to? Say --server URL, or server = \"URL\" in {}", self.home.config().display()));
        };
        if !server.starts_with("http://") {
            return Err(format!("{server:?} is no server that can be spoken to: http://HOST[:PORT]"));
        }
        let mut policy = config.policy();
        policy.lanes = self.lanes.unwrap_or(policy.lanes);
        policy.on_dead = self.on_dead.unwrap_or(policy.on_dead);
        Ok(Setup { policy, post: Arc::new(Client::new(server, config.token.as_deref(), config.timeout())) })
    }
}

impl Surroundings for Beside {
    fn is_offline(&self) -> bool {
        self.home.is_offline()
    }

    fn setup(&mut self, anyway: bool) -> Option<Result<Setup, String>> {
        let metadata = fs::metadata(self.home.config()).ok();
        let now = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        let has_changed = std::mem::replace(&mut self.seen, now) != now;
        (has_changed || anyway).then(|| self.read())
    }
}
