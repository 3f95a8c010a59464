//! What a signal does when nobody observes it any more, and in other processes.

use crate::Scenario;
use crate::process::Ended::By;
use crate::process::RUNS;
use crate::process::WELL;
use crate::process::counting_handler;
use crate::process::disposition;
use crate::process::finish;
use crate::process::kill_self;
use crate::process::raise;
use crate::process::runtime;
use crate::process::set_disposition;
use crate::process::wait_until;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Signal;
use concourse::SignalError;
use concourse::Source;
use concourse::source::Signals;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("the_default_action_comes_back_with_the_last_handle", default_comes_back_with_the_last_handle, By(Signal::TERM)),
    ("the_default_action_comes_back_with_a_cancellation", default_comes_back_with_a_cancellation, By(Signal::HUP)),
    ("the_default_action_of_a_real_time_signal_comes_back", default_of_a_real_time_signal, By(Signal::new(40))),
    ("a_default_that_stops_or_ignores_comes_back", a_default_that_stops_or_ignores_comes_back, WELL),
    ("an_ignored_signal_is_ignored_again", an_ignored_signal_is_ignored_again, WELL),
    ("an_earlier_handler_is_called_all_the_time", an_earlier_handler_is_called_all_the_time, WELL),
    ("a_signal_is_kept_until_its_last_source_is_gone", kept_until_its_last_source_is_gone, By(Signal::USR2)),
    ("a_signal_can_be_observed_again_and_again", observed_again_and_again, By(Signal::USR1)),
    ("a_disposition_set_between_two_sources_comes_back", a_disposition_set_between_two_sources_comes_back, WELL),
    ("a_handler_over_the_shared_one_is_left_alone", a_handler_over_the_shared_one_is_left_alone, WELL),
    ("a_child_that_ends_is_no_matter_of_other_sources", a_child_that_ends_is_no_matter_of_other_sources, WELL),
    ("a_program_started_from_here_has_nothing_of_it", a_program_started_from_here_has_nothing_of_it, WELL),
    ("a_forked_child_has_the_earlier_effects", a_forked_child_has_the_earlier_effects, WELL),
    ("a_source_whose_runtime_has_ended_keeps_its_signal", a_source_whose_runtime_has_ended, By(Signal::TERM)),
    ("a_source_that_comes_after_the_runtime_touches_nothing", a_source_that_comes_after_the_runtime, By(Signal::INT)),
];

/// A source that counts, and its count.
fn counting(runtime: &Runtime, signal: Signal) -> (Source<Signals>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let add = Arc::clone(&count);
    let builder = Source::signal(&runtime.serial("counter"), signal);
    (builder.on_event(move |arrivals| _ = add.fetch_add(arrivals.count, SeqCst)).activate().unwrap(), count)
}

/// Waits until a source that has ended has let go of its signal.
#[track_caller]
fn wait_for(signal: Signal, expected: usize) {
    wait_until(|| disposition(signal) == expected);
}

fn default_comes_back_with_the_last_handle() {
    let runtime = runtime();
    let (source, count) = counting(&runtime, Signal::TERM);
    let clone = source.clone();
    drop(source);
    raise(Signal::TERM);
    wait_until(|| count.load(SeqCst) == 1);
    drop(clone);
    wait_for(Signal::TERM, libc::SIG_DFL);
    kill_self(Signal::TERM);
}

fn default_comes_back_with_a_cancellation() {
    let runtime = runtime();
    let (source, count) = counting(&runtime, Signal::HUP);
    raise(Signal::HUP);
    wait_until(|| count.load(SeqCst) == 1);
    source.cancel();
    wait_for(Signal::HUP, libc::SIG_DFL);
    raise(Signal::HUP);
    drop(source);
}

fn default_of_a_real_time_signal() {
    let (runtime, signal) = (runtime(), Signal::new(40));
    let (source, count) = counting(&runtime, signal);
    raise(signal);
    wait_until(|| count.load(SeqCst) == 1);
    drop(source);
    wait_for(signal, libc::SIG_DFL);
    raise(signal);
}

fn a_default_that_stops_or_ignores_comes_back() {
    let runtime = runtime();
    for signal in [Signal::TSTP, Signal::TTIN, Signal::CONT, Signal::WINCH, Signal::URG, Signal::CHLD, Signal::IO] {
        let (source, count) = counting(&runtime, signal);
        raise(signal);
        wait_until(|| count.load(SeqCst) == 1);
        drop(source);
        wait_for(signal, libc::SIG_DFL);
    }
    finish(&runtime);
}

fn an_ignored_signal_is_ignored_again() {
    let runtime = runtime();
    // Rust programs ignore PIPE from their start.
    set_disposition(Signal::INT, libc::SIG_IGN);
    for signal in [Signal::INT, Signal::PIPE] {
        for _ in 0..3 {
            let (source, count) = counting(&runtime, signal);
            raise(signal);
            wait_until(|| count.load(SeqCst) == 1);
            drop(source);
            wait_for(signal, libc::SIG_IGN);
            raise(signal);
        }
    }
    finish(&runtime);
}

fn an_earlier_handler_is_called_all_the_time() {
    let runtime = runtime();
    set_disposition(Signal::USR1, counting_handler());
    raise(Signal::USR1);
    for round in 0..3 {
        let (source, count) = counting(&runtime, Signal::USR1);
        raise(Signal::USR1);
        wait_until(|| count.load(SeqCst) == 1);
        drop(source);
        wait_for(Signal::USR1, counting_handler());
        raise(Signal::USR1);
        assert_eq!((RUNS.load(SeqCst), count.load(SeqCst)), (3 + 2 * round, 1));
    }
    finish(&runtime);
}

fn kept_until_its_last_source_is_gone() {
    let (one, another) = (runtime(), runtime());
    let sources = [&one, &one, &another, &another].map(|runtime| counting(runtime, Signal::USR2));
    let mut left = Vec::from(sources);
    while let Some((source, count)) = left.pop() {
        assert_ne!(disposition(Signal::USR2), libc::SIG_DFL);
        raise(Signal::USR2);
        let arrived = 4 - left.len() as u64;
        wait_until(|| left.iter().all(|(_, count)| count.load(SeqCst) == arrived) && count.load(SeqCst) == arrived);
        let handle = source.handle().clone();
        drop(source);
        wait_until(|| handle.has_ended());
    }
    wait_for(Signal::USR2, libc::SIG_DFL);
    raise(Signal::USR2);
}

fn observed_again_and_again() {
    let runtime = runtime();
    for _ in 0..50 {
        let (source, count) = counting(&runtime, Signal::USR1);
        for arrived in 1..=3 {
            raise(Signal::USR1);
            wait_until(|| count.load(SeqCst) == arrived);
        }
        drop(source);
        wait_for(Signal::USR1, libc::SIG_DFL);
    }
    raise(Signal::USR1);
}

fn a_disposition_set_between_two_sources_comes_back() {
    let runtime = runtime();
    for between in [libc::SIG_IGN, libc::SIG_DFL, libc::SIG_IGN] {
        set_disposition(Signal::HUP, between);
        let (source, count) = counting(&runtime, Signal::HUP);
        raise(Signal::HUP);
        wait_until(|| count.load(SeqCst) == 1);
        drop(source);
        wait_for(Signal::HUP, between);
    }
    // Also one that is set while a source exists: another source puts the shared handler back.
    let (source, count) = counting(&runtime, Signal::HUP);
    set_disposition(Signal::HUP, libc::SIG_DFL);
    let (other, others) = counting(&runtime, Signal::HUP);
    raise(Signal::HUP);
    wait_until(|| count.load(SeqCst) == 1 && others.load(SeqCst) == 1);
    drop((source, other));
    wait_for(Signal::HUP, libc::SIG_DFL);
    finish(&runtime);
}

fn a_handler_over_the_shared_one_is_left_alone() {
    let runtime = runtime();
    let (source, _) = counting(&runtime, Signal::USR1);
    set_disposition(Signal::USR1, counting_handler());
    let refused = Source::signal(&runtime.serial("late"), Signal::USR1).activate().unwrap_err();
    assert_eq!(refused, SignalError::Replaced { signal: Signal::USR1 });
    let handle = source.handle().clone();
    source.cancel();
    drop(source);
    wait_until(|| handle.has_ended());
    finish(&runtime);
    raise(Signal::USR1);
    assert_eq!((disposition(Signal::USR1), RUNS.load(SeqCst)), (counting_handler(), 1));
}

fn a_child_that_ends_is_no_matter_of_other_sources() {
    let runtime = runtime();
    let others = [Signal::INT, Signal::TERM, Signal::USR1].map(|signal| counting(&runtime, signal));
    assert_eq!(disposition(Signal::CHLD), libc::SIG_DFL);
    assert_eq!(Command::new("false").status().unwrap().code(), Some(1));
    let (children, count) = counting(&runtime, Signal::CHLD);
    for ended in 1..=5 {
        assert_eq!(Command::new("false").status().unwrap().code(), Some(1), "the source does not reap it");
        wait_until(|| count.load(SeqCst) == ended);
    }
    drop(children);
    wait_for(Signal::CHLD, libc::SIG_DFL);
    assert_eq!(Command::new("false").status().unwrap().code(), Some(1));
    assert!(others.iter().all(|(_, count)| count.load(SeqCst) == 0));
    finish(&runtime);
}

fn a_program_started_from_here_has_nothing_of_it() {
    // What a program finds out about its signals and descriptors.
    let found = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let signals = || found("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status");
    let descriptors = || found("ls /proc/self/fd | wc -l");
    set_disposition(Signal::HUP, libc::SIG_IGN);
    let before = (signals(), descriptors());
    let runtime = runtime();
    let all = [Signal::INT, Signal::TERM, Signal::USR1, Signal::CHLD, Signal::realtime(1)];
    let sources = all.map(|signal| counting(&runtime, signal));
    let (ignored, _) = counting(&runtime, Signal::HUP);
    raise(Signal::USR1);
    assert!(signals().contains("SigBlk:\t0000000000000000"));
    let without_ignored = signals();
    drop(ignored);
    wait_for(Signal::HUP, libc::SIG_IGN);
    assert_eq!((signals(), descriptors()), before);
    assert_ne!(without_ignored, before.0, "what is handled here is not ignored there");
    drop(sources);
    finish(&runtime);
}

/// Runs `f` in a forked child, and says what has become of it: a status, or else a signal.
fn forked(f: impl FnOnce()) -> Result<i32, i32> {
    // SAFETY: the child uses the crate, as its users would, and ends by itself without the parent's exit handlers.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
        // SAFETY: ends the process.
        unsafe { libc::_exit(if passed { 0 } else { 101 }) }
    }
    let mut status = 0;
    // SAFETY: the child is this process's, and `status` is written.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFEXITED(status) { Ok(libc::WEXITSTATUS(status)) } else { Err(libc::WTERMSIG(status)) }
}

fn a_forked_child_has_the_earlier_effects() {
    let runtime = runtime();
    set_disposition(Signal::HUP, libc::SIG_IGN);
    set_disposition(Signal::USR2, counting_handler());
    let watched = [Signal::TERM, Signal::HUP, Signal::USR2, Signal::WINCH].map(|signal| counting(&runtime, signal));
    let (twice, _) = counting(&runtime, Signal::TERM);
    let wakeups = runtime.statistics().event_loop_wakeups;
    let refused = || {
        let queue = runtime.serial("in the child");
        let error = Source::signal(&queue, Signal::INT).activate().unwrap_err();
        assert_eq!(error, SignalError::Forked { signal: Signal::INT });
        assert_eq!(disposition(Signal::INT), libc::SIG_DFL);
    };
    assert_eq!(forked(refused), Ok(0));
    assert_eq!(forked(|| raise(Signal::TERM)), Err(libc::SIGTERM), "nobody delivers it there");
    let survive = || {
        (0..3).for_each(|_| [Signal::HUP, Signal::USR2, Signal::WINCH].into_iter().for_each(raise));
        assert_eq!((disposition(Signal::HUP), disposition(Signal::WINCH)), (libc::SIG_IGN, libc::SIG_DFL));
        assert_eq!(RUNS.load(SeqCst), 3, "an earlier handler is called once for each");
        drop(twice);
    };
    assert_eq!(forked(survive), Ok(0));
    assert_eq!(runtime.statistics().event_loop_wakeups, wakeups, "the child does not ring in the parent");
    for (_, count) in &watched {
        assert_eq!(count.load(SeqCst), 0);
    }
    raise(Signal::TERM);
    wait_until(|| watched[0].1.load(SeqCst) == 1);
    finish(&runtime);
}

fn a_source_whose_runtime_has_ended() {
    let runtime = runtime();
    let (source, count) = counting(&runtime, Signal::TERM);
    raise(Signal::TERM);
    wait_until(|| count.load(SeqCst) == 1);
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    (0..3).for_each(|_| raise(Signal::TERM));
    drop(runtime);
    raise(Signal::TERM);
    assert_eq!(count.load(SeqCst), 1, "it is quiet");
    source.cancel();
    assert_eq!(disposition(Signal::TERM), libc::SIG_DFL);
    raise(Signal::TERM);
}

fn a_source_that_comes_after_the_runtime() {
    let runtime = runtime();
    let queue = runtime.serial("late");
    drop(runtime);
    let builder = Source::signal(&queue, Signal::INT).on_event(|_| panic!("there is no thread to run it"));
    let source = builder.activate().unwrap();
    assert!(source.handle().has_ended());
    assert_eq!(disposition(Signal::INT), libc::SIG_DFL);
    raise(Signal::INT);
}
