//! A terminal of one's own, with a shell that runs one program on it.

use indicatif::InMemoryTerm;
use indicatif::TermLike as _;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::fs::OFlags;
use rustix::fs::fcntl_getfl;
use rustix::fs::fcntl_setfl;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustix::process::kill_process_group;
use rustix::pty::OpenptFlags;
use rustix::pty::grantpt;
use rustix::pty::ioctl_tiocgptpeer;
use rustix::pty::openpt;
use rustix::pty::unlockpt;
use rustix::termios::Termios;
use rustix::termios::Winsize;
use rustix::termios::tcgetattr;
use rustix::termios::tcgetpgrp;
use rustix::termios::tcsetwinsize;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: u16 = 40;
const COLUMNS: u16 = 100;

/// The shell stays when the program has ended, as terminals are reset when nobody is left on them; it says how the program
/// ended, and waits for a line.
const RUN: &str = r#""$@"; echo "ended with $?"; read line"#;

/// A terminal, seen from its other side.
pub(crate) struct Pty {
    master: File,
    screen: InMemoryTerm,
    /// Everything that has ever arrived, and how much of it the screen has seen.
    received: Vec<u8>,
    shown: usize,
    /// How the terminal was when nobody had touched it.
    found: Termios,
    shell: Child,
    /// Who was in the foreground when the terminal was taken away.
    hung_up: Option<Pid>,
}

impl Pty {
    /// Runs a program on a new terminal.
    pub(crate) fn run(command: &Command) -> Self {
        Self::run_script(RUN, command)
    }

    /// Runs a shell script with job control on a new terminal; the command is its `"$@"`.
    pub(crate) fn run_script(script: &str, command: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let peer = || {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            Stdio::from(ioctl_tiocgptpeer(&master, flags).unwrap())
        };
        resize(&master, COLUMNS);
        let found = tcgetattr(&master).unwrap();
        // The session's leader, whose standard input becomes its terminal. Signals are as they are when a person logs in.
        let mut shell = Command::new("env");
        shell.args(["--default-signal", "setsid", "--ctty", "sh", "-mc", script, "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("TERM", "xterm").env_remove("NO_COLOR");
        let shell = shell.stdin(peer()).stdout(peer()).stderr(peer()).spawn().unwrap();
        fcntl_setfl(&master, fcntl_getfl(&master).unwrap() | OFlags::NONBLOCK).unwrap();
        let screen = InMemoryTerm::new(ROWS, COLUMNS);
        Self { master: master.into(), screen, received: Vec::new(), shown: 0, found, shell, hung_up: None }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes the terminal so many columns wide.
    pub(crate) fn resize(&mut self, columns: u16) {
        resize(&self.master, columns);
    }

    /// Takes the terminal away from those who are on it. The screen stays as it is.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up = Some(self.program());
        // What stands in its place is no terminal at all.
        self.master = File::open("/dev/null").unwrap();
    }

    /// The program in the foreground, once the shell has started it.
    pub(crate) fn program(&mut self) -> Pid {
        let shell = Pid::from_child(&self.shell);
        // Between two jobs, and before the shell has set itself up, nobody is there.
        let foreground = |pty: &mut Self| tcgetpgrp(&pty.master).ok().filter(|&group| group != shell);
        self.wait_for("a program", foreground)
    }

    /// Sends a signal to the program in the foreground.
    pub(crate) fn signal(&mut self, signal: Signal) {
        kill_process(self.program(), signal).unwrap();
    }

    /// How many files of a directory the program in the foreground has open.
    pub(crate) fn open_files(&mut self, directory: &Path) -> usize {
        let process = self.program().as_raw_nonzero();
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        let files = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        files.filter(|file| file.starts_with(directory)).count()
    }

    /// Whether the terminal is as nobody has ever touched it.
    pub(crate) fn is_as_found(&self) -> bool {
        format!("{:?}", tcgetattr(&self.master).unwrap()) == format!("{:?}", self.found)
    }

    /// Everything that has ever been written to the terminal.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// The screen as it is now.
    pub(crate) fn contents(&mut self) -> String {
        self.receive();
        self.screen.contents()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |pty| pty.screen.contents().contains(text).then_some(()));
    }

    /// Waits until the shell says that the program has ended, and gives its exit code.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> u8 {
        self.wait_for("end", |pty| {
            let contents = pty.screen.contents();
            let code = contents.lines().find_map(|line| line.strip_prefix("ended with ")).map(str::parse);
            code.map(Result::unwrap)
        })
    }

    /// Waits until `look` gives something.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.receive();
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what} on this screen:\n{}", self.screen.contents());
            let pause = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            // Whatever comes of it: the next round looks.
            let _ = poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&pause));
        }
    }

    /// Takes what has arrived.
    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.master.read(&mut buffer) {
                Ok(n) if n > 0 => self.received.extend(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let new = &self.received[self.shown..];
        let whole = std::str::from_utf8(new).map_or_else(|error| error.valid_up_to(), str::len);
        self.screen.write_str(std::str::from_utf8(&new[..whole]).unwrap()).unwrap();
        self.shown += whole;
    }
}

fn resize(master: impl std::os::fd::AsFd, columns: u16) {
    tcsetwinsize(master, Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

impl Drop for Pty {
    /// Ends what is still there, also after a failure.
    fn drop(&mut self) {
        let shell = Pid::from_child(&self.shell);
        let foreground = tcgetpgrp(&self.master).ok().or(self.hung_up);
        if let Some(group) = foreground.filter(|&group| group != shell) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
