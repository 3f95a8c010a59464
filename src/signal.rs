//! Signals by their names.

use std::fmt;

/// A signal of the operating system, by its number.
///
/// Ordinary signals have a constant each. A real-time signal is named by how far it is from the first one, since the
/// system's C library keeps some for itself. Any number makes a `Signal`; whether the system knows it, and whether it can
/// be observed, is told where it is used.
///
/// ```
/// use concourse::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!(Signal::realtime(1).to_string(), "SIGRTMIN+1");
/// assert_eq!(Signal::from(15), Signal::TERM);
/// assert_eq!(Signal::new(99).to_string(), "signal 99");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

macro_rules! signals {
    ($($name:ident = $number:ident: $text:literal,)*) => {
        impl Signal {
            $(#[doc = concat!("`", stringify!($number), "`: ", $text)]
            pub const $name: Self = Self(libc::$number);)*

            /// The name of an ordinary signal.
            fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($number)),)*
                    _ => None,
                }
            }
        }

        /// All ordinary signals.
        #[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
        const ORDINARY: &[Signal] = &[$(Signal::$name,)*];
    };
}

signals! {
    ABRT = SIGABRT: "the program aborts itself.",
    ALRM = SIGALRM: "the timer of `alarm` has expired.",
    BUS = SIGBUS: "an access to memory that is not there. It cannot be observed.",
    CHLD = SIGCHLD: "a child has ended, stopped or gone on.",
    CONT = SIGCONT: "the process goes on after it was stopped.",
    FPE = SIGFPE: "a computation without a result. It cannot be observed.",
    HUP = SIGHUP: "the terminal is gone; by custom, services read their configuration again.",
    ILL = SIGILL: "an instruction that is none. It cannot be observed.",
    INT = SIGINT: "somebody has pressed Ctrl-C.",
    IO = SIGIO: "a descriptor has become ready.",
    KILL = SIGKILL: "ends the process. It cannot be observed.",
    PIPE = SIGPIPE: "a pipe without a reader was written to. Rust programs ignore it from their start.",
    PROF = SIGPROF: "the profiling timer has expired.",
    QUIT = SIGQUIT: "somebody has pressed Ctrl-\\.",
    SEGV = SIGSEGV: "an access to memory that is not the process's. It cannot be observed.",
    STOP = SIGSTOP: "stops the process. It cannot be observed.",
    SYS = SIGSYS: "a system call that is not allowed. It cannot be observed.",
    TERM = SIGTERM: "the process is asked to end.",
    TRAP = SIGTRAP: "a breakpoint. It cannot be observed.",
    TSTP = SIGTSTP: "somebody has pressed Ctrl-Z.",
    TTIN = SIGTTIN: "a background process reads from the terminal.",
    TTOU = SIGTTOU: "a background process writes to the terminal.",
    URG = SIGURG: "a socket has urgent data.",
    USR1 = SIGUSR1: "whatever the program takes it for.",
    USR2 = SIGUSR2: "whatever the program takes it for.",
    VTALRM = SIGVTALRM: "the timer of the process's own time has expired.",
    WINCH = SIGWINCH: "the window of the terminal has another size.",
    XCPU = SIGXCPU: "the process has used up its time on the processor.",
    XFSZ = SIGXFSZ: "a file would become larger than it may.",
}

impl Signal {
    /// The signal of this number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The real-time signal that is `offset` behind the first one. There are at least eight, on Linux about thirty; what is
    /// beyond them is refused by [`Source::signal`](crate::Source::signal).
    ///
    /// Real-time signals are queued: each one that is sent arrives, where several of an ordinary signal become one if they
    /// have not arrived yet.
    pub fn realtime(offset: u8) -> Self {
        Self(libc::SIGRTMIN() + i32::from(offset))
    }

    /// The system's number of the signal.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// True if the system has such a signal, and does not keep it for itself.
    pub(crate) fn is_known(self) -> bool {
        // The numbers between those of ordinary and of real-time signals are the C library's own.
        (1..32).contains(&self.0) || self.is_realtime()
    }

    fn is_realtime(self) -> bool {
        (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&self.0)
    }
}

impl From<i32> for Signal {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None if self.0 == libc::SIGRTMIN() => f.pad("SIGRTMIN"),
            None if self.is_realtime() => f.pad(&format!("SIGRTMIN+{}", self.0 - libc::SIGRTMIN())),
            None => f.pad(&format!("signal {}", self.0)),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_the_systems_name_and_number() {
        assert_eq!((Signal::HUP.number(), Signal::KILL.number(), Signal::SYS.number()), (1, 9, 31));
        for signal in ORDINARY {
            assert!(signal.is_known() && signal.to_string().starts_with("SIG"), "{signal}");
            assert_eq!(Signal::from(signal.number()), *signal);
        }
        let mut numbers: Vec<_> = ORDINARY.iter().map(|signal| signal.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ORDINARY.len());
    }

    #[test]
    fn signals_without_a_constant_are_shown_by_what_is_known_of_them() {
        let shown = [0, 1, 8, 16].map(|number| format!("{:?}", Signal::new(number)));
        assert_eq!(shown, ["signal 0", "SIGHUP", "SIGFPE", "signal 16"]);
        assert_eq!(Signal::realtime(0).to_string(), "SIGRTMIN");
        assert_eq!(format!("{:>12}|", Signal::realtime(3)), "  SIGRTMIN+3|");
    }

    #[test]
    fn only_what_the_system_has_and_does_not_keep_is_known() {
        let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
        assert!([1, 31, first, last].map(Signal::new).iter().all(|signal| signal.is_known()));
        let unknown = [i32::MIN, -1, 0, 32, first - 1, last + 1, i32::MAX];
        assert!(!unknown.map(Signal::new).iter().any(|signal| signal.is_known()));
    }
}
