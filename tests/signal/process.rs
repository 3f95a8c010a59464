//! Processes that run scenarios or send signals, and what this one can find out about itself.

use concourse::Runtime;
use concourse::Shutdown;
use concourse::Signal;
use std::env;
use std::ffi::c_int;
use std::fs;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Nothing waits for so long unless it fails.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    With(i32),
    By(Signal),
}

pub(crate) const WELL: Ended = Ended::With(0);

impl Ended {
    pub(crate) fn of(status: ExitStatus) -> Self {
        match status.signal() {
            Some(signal) => Self::By(Signal::new(signal)),
            None => Self::With(status.code().unwrap()),
        }
    }
}

/// A process of this program that is to end by itself.
pub(crate) struct Process(pub(crate) Child);

/// This program, without what whoever runs the tests may ignore: a shell ignores some signals for what it starts in the
/// background.
pub(crate) fn this_program(arguments: &[&str]) -> Process {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(env::current_exe().unwrap());
    Process(command.args(arguments).stdin(Stdio::piped()).spawn().unwrap())
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn ended(mut self) -> Ended {
        Ended::of(self.0.wait().unwrap())
    }
}

/// A process that sends `signal` to this one, `times` times: when it is `asked` by a byte on its input, `queueing` it, or
/// `blindly`.
pub(crate) fn sender(how: &str, signal: Signal, times: u64) -> Process {
    let target = std::process::id();
    this_program(&["--send", how, &target.to_string(), &signal.number().to_string(), &times.to_string()])
}

/// What such a process does.
pub(crate) fn send(how: &[&str]) {
    let [how, target, signal, times] = how else { panic!("{how:?}") };
    let (target, signal): (i32, i32) = (target.parse().unwrap(), signal.parse().unwrap());
    let mut requests = std::io::stdin().lock();
    for _ in 0..times.parse().unwrap() {
        match *how {
            "asked" => {
                requests.read_exact(&mut [0]).unwrap();
                kill(target, Signal::new(signal));
            }
            "blindly" => kill(target, Signal::new(signal)),
            "queueing" => {
                let value = libc::sigval { sival_ptr: ptr::null_mut() };
                // SAFETY: sends a signal. The queue may be full for a moment.
                while unsafe { libc::sigqueue(target, signal, value) } != 0 {
                    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN));
                    thread::yield_now();
                }
            }
            _ => panic!("{how}"),
        }
    }
}

fn kill(target: i32, signal: Signal) {
    // SAFETY: sends a signal.
    assert_eq!(unsafe { libc::kill(target, signal.number()) }, 0);
}

/// Sends a signal to this process.
pub(crate) fn kill_self(signal: Signal) {
    kill(std::process::id() as i32, signal);
}

/// Sends a signal to this thread, and returns when its handler has.
pub(crate) fn raise(signal: Signal) {
    // SAFETY: sends a signal.
    assert_eq!(unsafe { libc::raise(signal.number()) }, 0);
}

/// Keeps a signal from this thread, and from those that it starts from now on.
pub(crate) fn block(signal: Signal) {
    mask(libc::SIG_BLOCK, signal);
}

/// Lets this thread have it again. One that was sent meanwhile is handled before this returns.
pub(crate) fn unblock(signal: Signal) {
    mask(libc::SIG_UNBLOCK, signal);
}

fn mask(how: c_int, signal: Signal) {
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises what the other two are given.
    let refused = unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), signal.number());
        libc::pthread_sigmask(how, signals.as_ptr(), ptr::null_mut())
    };
    assert_eq!(refused, 0);
}

/// The address of a signal's handler, or `SIG_DFL`, or `SIG_IGN`.
pub(crate) fn disposition(signal: Signal) -> usize {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and `action` has room for what is written.
    let refused = unsafe { libc::sigaction(signal.number(), ptr::null(), action.as_mut_ptr()) };
    assert_eq!(refused, 0);
    // SAFETY: the call has written it.
    unsafe { action.assume_init() }.sa_sigaction
}

/// Sets it, as C programs do.
pub(crate) fn set_disposition(signal: Signal, handler: usize) {
    // SAFETY: `SIG_DFL`, `SIG_IGN`, or `note_run`.
    assert_ne!(unsafe { libc::signal(signal.number(), handler) }, libc::SIG_ERR);
}

/// How often `note_run` has run.
pub(crate) static RUNS: AtomicU64 = AtomicU64::new(0);

extern "C" fn note_run(_: libc::c_int) {
    RUNS.fetch_add(1, SeqCst);
}

/// A handler that counts. Installed before the first source it counts the runs of the operating system's handler,
/// however many there are.
pub(crate) fn counting_handler() -> usize {
    note_run as extern "C" fn(libc::c_int) as *const () as usize
}

/// How many descriptors this process has open.
pub(crate) fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

pub(crate) fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("signals").build().unwrap()
}

/// Ends the runtime, and with it a scenario whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
pub(crate) fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// Waits for something that another thread does.
#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::yield_now();
    }
}
