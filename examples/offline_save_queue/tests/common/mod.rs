//! The program, run as people and other programs run it: processes, files and sockets, nothing in their place.
#![allow(dead_code, reason = "each test program uses its part")]

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use std::fs;
use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Longer than anything takes, however loaded the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A queue's directory and whatever else a test writes, removed on drop.
pub(crate) struct Scene {
    pub(crate) root: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let root = std::env::temp_dir().join(format!("save-queue-process-{}-{number}", std::process::id()));
            match fs::create_dir(&root) {
                Ok(()) => return Self { root },
                // Left by a process of the same number that did not come to its end.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", root.display()),
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The program with these words, in the scene's directory.
    pub(crate) fn program(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offline_save_queue"));
        command.current_dir(&self.root).args(words.split_whitespace()).stdin(Stdio::null());
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
    }

    pub(crate) fn run(&self, words: &str) -> Run {
        Run::from(self.program(words).output().unwrap())
    }

    /// Runs the program, which must end well, and returns what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &str) -> String {
        let run = self.run(words);
        assert_eq!(run.code, Some(0), "{words}: {run:?}");
        run.stdout
    }

    /// `status --json`.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.ok("status --json")).unwrap()
    }

    pub(crate) fn pending(&self) -> i64 {
        self.status()["pending"].as_i64().unwrap()
    }

    pub(crate) fn config(&self, text: &str) {
        fs::create_dir_all(self.path("saves")).unwrap();
        // As editors do: a reader sees the old file or the new one.
        fs::write(self.path("saves/queue.toml.new"), text).unwrap();
        fs::rename(self.path("saves/queue.toml.new"), self.path("saves/queue.toml")).unwrap();
    }

    /// A file for `import` with `count` saves, in turn of `keys` keys.
    pub(crate) fn lines(&self, name: &str, count: usize, keys: usize) -> PathBuf {
        let path = self.path(name);
        let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
        for i in 0..count {
            writeln!(file, "{{\"key\":\"key {}\",\"body\":{{\"number\":{i},\"file\":\"{name}\"}}}}", i % keys).unwrap();
        }
        path
    }

    /// `verify --json` of the server's log, and of the receipts in these files.
    #[track_caller]
    pub(crate) fn verify(&self, receipts: &[&str]) -> Value {
        let receipts: String = receipts.iter().map(|name| format!(" --receipts {name}")).collect();
        serde_json::from_str(&self.run(&format!("verify server.log --json{receipts}")).stdout).unwrap()
    }

    pub(crate) fn server(&self, faults: &str) -> Server {
        Server::start(self, free_port(), faults)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let run = Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!run.stderr.contains("panicked"), "{run:?}");
        run
    }
}

/// A process that runs beside the test, killed on drop.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.has_ended();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port for a server that may go and come back. It is not one of those that the system gives to clients, who would take
/// it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + (number % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server for saves, on a port of its own.
pub(crate) struct Server {
    process: Process,
    pub(crate) port: u16,
}

impl Server {
    /// Starts one in the scene.
    pub(crate) fn start(scene: &Scene, port: u16, faults: &str) -> Self {
        Self::start_with(scene, port, faults, |_| {})
    }

    pub(crate) fn start_with(scene: &Scene, port: u16, faults: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = scene.program(&format!("serve --listen 127.0.0.1:{port} {faults}"));
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no server at port {port:?}: {line:?}"));
        Self { process: Process { child }, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn has_died(&mut self) -> bool {
        self.process.has_ended().is_some()
    }

    /// The same server again, after it was killed.
    pub(crate) fn restart(&mut self, scene: &Scene, faults: &str) {
        *self = Self::start(scene, self.port, faults);
    }
}

/// A `run` that goes on, with its events.
pub(crate) struct Drainer {
    pub(crate) process: Process,
    events: PathBuf,
}

impl Drainer {
    pub(crate) fn start(scene: &Scene, server: &str, words: &str) -> Self {
        Self::start_with(scene, server, words, |_| {})
    }

    pub(crate) fn start_with(scene: &Scene, server: &str, words: &str, change: impl FnOnce(&mut Command)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let events = scene.path(&format!("events-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = scene.program(&format!("--server {server} --json run {words}"));
        command.stdout(File::create(&events).unwrap());
        change(&mut command);
        Self { process: Process::start(&mut command), events }
    }

    /// Starts one and waits until it listens to signals and has looked into the store: it says so in `run.json`.
    #[track_caller]
    pub(crate) fn start_ready(scene: &Scene, server: &str, words: &str) -> Self {
        let drainer = Self::start(scene, server, words);
        wait_until("the drainer is there", || scene.status()["drainer"]["pid"] == drainer.process.id());
        drainer
    }

    /// What has happened so far, whole lines only.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.events).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many events of this kind there were.
    pub(crate) fn saw(&self, event: &str) -> usize {
        self.events().iter().filter(|other| other["event"] == event).count()
    }
}

/// Waits until something is so, and fails if it never is.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A file's text, empty if there is none.
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
