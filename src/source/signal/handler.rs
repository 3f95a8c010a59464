//! What runs inside the operating system's signal handler, and how it comes there and goes again.
//!
//! The handler itself belongs to signal-hook-registry, which this process may share with others: it calls a handler that
//! was there before, and then everybody's actions. It never gives a signal back, so that is done here: with the last
//! observer of a signal the disposition that was there before the first is put back, and the next first one puts the
//! registry's handler in its place again. So an ignored signal is ignored again, also by programs that are started from
//! here, and the kernel itself does what the default is.
//!
//! # In a forked child
//!
//! A child has the handlers of its parent and no thread to deliver anything. What arrives there finds the earlier
//! disposition as if no source had ever been. The bell is shared with the parent and not rung.
#![allow(unsafe_code, reason = "actions of a signal handler, and dispositions")]

use super::state::Duty;
use super::state::First;
use super::state::SignalSender;
use super::state::Tally;
use crate::error::SignalError;
use crate::event_loop::Eventfd;
use crate::signal::Signal;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::is_child;
use libc::siginfo_t;
use signal_hook_registry::SigId;
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// What a handler adds to, and what it wakes.
pub(super) struct Observer {
    pub(super) tally: Arc<Tally>,
    pub(super) bell: Arc<Eventfd>,
    /// Shared by signals of which only the first arrival is counted. The others get the default action.
    pub(super) first: Option<Arc<First>>,
}

impl Observer {
    /// One run of the handler. Async-signal-safe: it does atomic operations and system calls, and ends in no panic.
    fn observe(&self, signal: Signal, previous: &Disposition, details: &siginfo_t) {
        if is_child() {
            previous.act(signal);
            return;
        }
        if self.first.as_ref().is_some_and(|first| !first.come()) {
            end_by(signal);
        }
        if self.tally.add(sender(details)) == Duty::Ring {
            self.bell.light();
        }
    }
}

/// Who has sent a signal, if the kernel says. Async-signal-safe.
fn sender(details: &siginfo_t) -> Option<SignalSender> {
    if !matches!(details.si_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL) {
        return None;
    }
    // SAFETY: what is sent with these codes has both fields.
    let (pid, uid) = unsafe { (details.si_pid(), details.si_uid()) };
    // 0 is a sender in another namespace, or a signal for whose details the kernel had no memory.
    u32::try_from(pid).ok().filter(|pid| *pid != 0).map(|pid| SignalSender { pid, uid })
}

/// What the kernel does with a signal.
#[derive(Clone, Copy)]
struct Disposition(libc::sigaction);

impl Disposition {
    /// The one of now.
    fn of(signal: Signal) -> io::Result<Self> {
        let mut action = MaybeUninit::uninit();
        // SAFETY: nothing is changed, and `action` has room for what is written.
        let refused = unsafe { libc::sigaction(signal.number(), ptr::null(), action.as_mut_ptr()) };
        if refused != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has written it.
        Ok(Self(unsafe { action.assume_init() }))
    }

    /// The one that a process begins with.
    fn default() -> Self {
        // SAFETY: all zeroes are a valid action: an empty mask, no flags, and the default action.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = libc::SIG_DFL;
        Self(action)
    }

    /// Takes the place of what is there, and returns that. Async-signal-safe.
    fn install(&self, signal: Signal) -> Option<Self> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: both point to actions. This one is the default, or was read from the kernel, so that its handler, if
        // any, is one that the kernel has called before for this signal.
        let refused = unsafe { libc::sigaction(signal.number(), &raw const self.0, before.as_mut_ptr()) };
        // SAFETY: a call that was not refused has written it.
        (refused == 0).then(|| Self(unsafe { before.assume_init() }))
    }

    fn is_handler(&self) -> bool {
        ![libc::SIG_DFL, libc::SIG_IGN].contains(&self.0.sa_sigaction)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.0.sa_sigaction == other.0.sa_sigaction
    }

    /// Has the kernel do with an arrival, whose handler is running, what it would have done before the handler was there,
    /// and with all that come later. Async-signal-safe.
    fn act(&self, signal: Signal) {
        // The registry has called a handler that was there before. Several observers come here for one arrival, and the
        // one that takes the registry's handler away acts for all.
        if !self.is_handler() && self.install(signal).is_some_and(|before| before.is_handler()) {
            raise(signal);
        }
    }
}

/// Raises a signal whose handler is running on this thread, which has it blocked until then. Async-signal-safe.
fn raise(signal: Signal) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is made before it is used. The mask of the interrupted code comes back when the handler returns.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal.number());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        libc::raise(signal.number());
    }
}

/// Ends the process by the default action of a signal that has one which ends it. Async-signal-safe.
fn end_by(signal: Signal) -> ! {
    let _ = Disposition::default().install(signal);
    raise(signal);
    // The kernel shields the first process of a container from default actions: it ends with the status that a shell
    // reports for this signal.
    // SAFETY: it ends the process, and nothing else.
    unsafe { libc::_exit(128 + signal.number()) }
}

/// A signal that is observed, or was.
struct Line {
    /// What is put back with the last observer.
    previous: Disposition,
    /// The registry's handler.
    shared: Disposition,
    observers: usize,
}

/// The signals that have ever been observed. Dispositions belong to the process, and so does this.
fn lines() -> &'static Mutex<BTreeMap<Signal, Line>> {
    static LINES: OnceLock<Mutex<BTreeMap<Signal, Line>>> = OnceLock::new();
    LINES.get_or_init(|| Mutex::new(BTreeMap::new()))
}

/// True if no program may observe it: the kernel forbids it, or it reports a fault of the very thread that it
/// interrupts, which would go on with the fault or come back to it for ever.
fn is_forbidden(signal: Signal) -> bool {
    let from_kernel = [Signal::KILL, Signal::STOP];
    let faults = [Signal::BUS, Signal::FPE, Signal::ILL, Signal::SEGV, Signal::SYS, Signal::TRAP];
    from_kernel.contains(&signal) || faults.contains(&signal)
}

/// An observer that is told of a signal; dropping it ends that.
pub(super) struct Registration {
    signal: Signal,
    id: SigId,
}

impl Registration {
    /// Has `observer` told of every arrival of `signal` from here on.
    pub(super) fn new(signal: Signal, observer: Observer) -> Result<Self, SignalError> {
        if is_forbidden(signal) {
            return Err(SignalError::Forbidden { signal });
        }
        if !signal.is_known() {
            return Err(SignalError::Unknown { signal });
        }
        let refused = |error: io::Error| SignalError::Refused { signal, errno: error.raw_os_error().unwrap_or(0) };
        let mut lines = lines().lock();
        let current = Disposition::of(signal).map_err(refused)?;
        let known = lines.get(&signal);
        let previous = match known {
            Some(line) if current.is_same(&line.shared) => line.previous,
            Some(line) if current.is_handler() && !current.is_same(&line.previous) => {
                return Err(SignalError::Replaced { signal });
            }
            // What the last observer has put back, or somebody has set since.
            _ => current,
        };
        let action = move |details: &siginfo_t| observer.observe(signal, &previous, details);
        // SAFETY: the action is async-signal-safe, as `observe` says. It is dropped by `unregister`, outside of handlers.
        let id = unsafe { signal_hook_registry::register_sigaction(signal.number(), action) }.map_err(refused)?;
        let (shared, observers) = match known {
            Some(line) => (line.shared, line.observers + 1),
            // The registry has just put it there.
            None => (Disposition::of(signal).unwrap_or(current), 1),
        };
        if !shared.is_handler() {
            // The registry has its handler there already, as far as it knows, and somebody has taken it away.
            signal_hook_registry::unregister(id);
            return Err(SignalError::Replaced { signal });
        }
        // No change, unless the last observer has taken it away.
        let _ = shared.install(signal);
        lines.insert(signal, Line { previous, shared, observers });
        Ok(Self { signal, id })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // In a child a thread of the parent may hold the locks for ever, and the next arrival undoes the handler.
        if is_child() {
            return;
        }
        let mut lines = lines().lock();
        if let Some(line) = lines.get_mut(&self.signal) {
            line.observers -= 1;
            // A handler that somebody has installed over the registry's stays.
            let is_shared = |current: Disposition| current.is_same(&line.shared);
            if line.observers == 0 && Disposition::of(self.signal).is_ok_and(is_shared) {
                let _ = line.previous.install(self.signal);
            }
        }
        // Behind that, so that no arrival falls between: it is counted, or finds the earlier disposition.
        signal_hook_registry::unregister(self.id);
    }
}
