//! A run without a terminal, watched while it is on its way.

use crate::program::PATIENCE;
use crate::program::number;
use crate::program::wait_for;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// A program that says in lines of JSON how far it is.
pub(crate) struct Live {
    child: Child,
    lines: Receiver<String>,
}

impl Live {
    /// Starts a program, whose arguments should ask for JSON.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Takes lines up to the first that is as it should be, and gives that one.
    #[track_caller]
    pub(crate) fn line(&self, what: &str, mut as_it_should_be: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| panic!("no {what}: {error}"));
            if as_it_should_be(&line) {
                return line;
            }
        }
    }

    /// Waits until some bytes are hashed, and are known to be.
    #[track_caller]
    pub(crate) fn wait_for_bytes(&self) {
        self.line("bytes", |line| number(line, "bytes").is_some_and(|bytes| bytes > 0.0));
    }

    /// Sends the signal that begins a pause, and waits until the program says so.
    #[track_caller]
    pub(crate) fn pause(&self) -> String {
        self.signal(Signal::USR1);
        self.line("pause", |line| line.contains("\"paused\":true"))
    }

    /// The lines that nobody has taken.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// The bytes that the program has read so far, from anywhere.
    pub(crate) fn bytes_read(&self) -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// The processor time that the program has used so far, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, in parentheses and with any characters, come fields with numbers; 14 and 15 are the times.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Waits until nothing has been read for a while, and gives how much was read in all.
    #[track_caller]
    pub(crate) fn bytes_read_at_rest(&self) -> u64 {
        wait_for("rest", || {
            let bytes = self.bytes_read();
            thread::sleep(Duration::from_millis(300));
            (bytes == self.bytes_read()).then_some(bytes)
        })
    }

    /// How many files of a directory are open.
    pub(crate) fn open_files(&self, directory: &Path) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().flatten();
        let files = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        files.filter(|file| file.starts_with(directory)).count()
    }

    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    /// Waits for the end, and gives the exit code and the lines that nobody has taken.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (Option<i32>, Vec<String>) {
        let status = wait_for("end", || self.child.try_wait().unwrap());
        (status.code(), self.lines.iter().collect())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
