//! What may go to other threads, and what may not. Each assertion holds if this file compiles.

use concourse::source;
use concourse::*;
use std::fmt::Debug;
use std::rc::Rc;

fn shared<T: Send + Sync + Unpin + 'static>() {}

fn shown<T: Debug>() {}

/// Does not compile if `$type` has `$marker`: then there are two ways to read the call.
macro_rules! is_not {
    ($type:ty, $marker:ident) => {{
        trait Either<A> {
            fn call() {}
        }
        impl<T: ?Sized> Either<()> for T {}
        impl<T: ?Sized + $marker> Either<u8> for T {}
        <$type as Either<_>>::call();
    }};
}

#[test]
fn handles_are_shared_between_threads() {
    shared::<Queue>();
    shared::<GlobalQueue>();
    shared::<MainQueue>();
    shared::<InactiveQueue>();
    shared::<QueueBuilder>();
    shared::<SuspendGuard>();
    shared::<After>();
    shared::<Runtime>();
    shared::<RuntimeBuilder>();
    shared::<Group>();
    shared::<Membership>();
    shared::<Semaphore>();
    shared::<Permit>();
    shared::<Event>();
    shared::<Done<u64>>();
    shared::<WorkItem>();
    shared::<CancelToken>();
    shared::<OnCancel>();
    shared::<Bounded>();
    shared::<Bounded<std::cell::Cell<u8>>>();
}

#[test]
fn sources_are_shared_between_threads() {
    shared::<Source>();
    shared::<Source<source::Or>>();
    shared::<Source<source::Replace<String>>>();
    shared::<Source<source::Merging<source::Max<u64>>>>();
    shared::<Source<source::Timer>>();
    shared::<source::Handle>();
    shared::<source::Handle<source::Replace<String>>>();
    shared::<source::SuspendedSource>();
    shared::<source::Schedule>();
    shared::<Source<source::ClockSteps>>();
    shared::<Source<source::Port<std::cell::Cell<u8>>>>();
    shared::<source::Sender<std::cell::Cell<u8>>>();
    shared::<source::Edge>();
    shared::<source::SourceStream<source::Timer>>();
    shared::<source::SourceStream<source::Replace<std::cell::Cell<u8>>>>();
    shared::<source::MessageStream<String>>();
    // A value that must stay on one thread at a time makes no difference: it is only ever moved.
    shared::<Source<source::Replace<std::cell::Cell<u8>>>>();
}

#[test]
fn plain_values_are_shared_between_threads() {
    shared::<Qos>();
    shared::<Clock>();
    shared::<Deadline>();
    shared::<Shutdown>();
    shared::<TimedShutdown>();
    shared::<Report>();
    shared::<Statistics>();
    shared::<StallPolicy>();
    shared::<StallReport>();
    shared::<WaitingThread>();
    shared::<PanicReport<'static>>();
    shared::<LossReport<'static>>();
    shared::<BuildError>();
    shared::<EventLoopError>();
    shared::<GroupError>();
    shared::<MainQueueError>();
    shared::<PaceError>();
    shared::<RuntimeError>();
    shared::<SuspendError>();
    shared::<TimerError>();
    shared::<WaitError>();
    shared::<WatchError>();
    shared::<WorkItemError>();
    shared::<Outcome>();
    shared::<Cancellation>();
    shared::<SubmitError<fn()>>();
    shared::<SyncError<fn()>>();
}

#[cfg(feature = "io")]
#[test]
fn sources_of_descriptors_are_shared_between_threads() {
    shared::<source::Input>();
    shared::<source::Output>();
    shared::<Source<source::Readable<std::net::TcpStream>>>();
    shared::<source::Handle<source::Writable<std::net::TcpStream>>>();
    shown::<(source::Readable<std::fs::File>, source::Writable<std::fs::File>)>();
}

#[cfg(feature = "process")]
#[test]
fn what_is_told_of_processes_is_shared_between_threads() {
    shared::<Source<source::Process>>();
    shared::<Source<source::ChildProcess>>();
    shared::<source::Handle<source::ChildProcess>>();
    shared::<source::ProcessEvents>();
    shared::<source::Exit>();
    shared::<source::CpuTimes>();
    shared::<ProcessError>();
    shared::<RefusedChild>();
    shown::<(Source<source::Process>, Source<source::ChildProcess>, source::ProcessEvents, source::Exit)>();
}

#[cfg(feature = "io")]
#[test]
fn what_is_told_of_memory_is_shared_between_threads() {
    shared::<Source<source::MemoryPressure>>();
    shared::<source::PressureLevels>();
    shared::<MemoryPressureError>();
    shown::<(Source<source::MemoryPressure>, source::PressureLevels)>();
}

#[cfg(feature = "sim")]
#[test]
fn what_a_simulation_tells_is_shared_between_threads() {
    shared::<Sim>();
    shared::<sim::Failure>();
    shared::<sim::Cause>();
    shared::<sim::Deadlock>();
    shared::<sim::BlockedThread>();
    shared::<sim::Trace>();
    shared::<sim::Step>();
    shared::<sim::Moment>();
}

#[test]
fn what_carries_a_value_is_as_movable_as_the_value() {
    is_not!(SubmitError<Rc<()>>, Send);
    is_not!(SyncError<Rc<()>>, Send);
    is_not!(SyncError<std::cell::Cell<u8>>, Sync);
    is_not!(Done<Rc<()>>, Send);
    is_not!(source::Last<Rc<()>>, Send);
    is_not!(SendError<Rc<()>>, Send);
}

#[test]
fn what_stands_for_a_duty_is_not_copied() {
    is_not!(InactiveQueue, Clone);
    is_not!(SuspendGuard, Clone);
    is_not!(source::SuspendedSource, Clone);
    is_not!(source::SourceStream<source::Add>, Clone);
    is_not!(After, Clone);
    is_not!(Runtime, Clone);
    is_not!(Membership, Clone);
    is_not!(Permit, Clone);
    is_not!(Done<u8>, Clone);
}

#[test]
fn everything_can_be_shown() {
    shown::<(Queue, GlobalQueue, InactiveQueue, QueueBuilder, SuspendGuard, After)>();
    shown::<(Runtime, RuntimeBuilder, Report, Shutdown, TimedShutdown, Statistics)>();
    shown::<(Group, Membership, Semaphore, Permit, Event, Done<u8>, WorkItem, Outcome, Cancellation)>();
    shown::<(Source, source::Handle, source::SuspendedSource, source::SourceBuilder, source::Schedule)>();
    shown::<(source::Sender<u8>, source::Messages<u8>, source::Port<u8>)>();
    shown::<(source::SourceStream<source::Add>, source::MessageStream<u8>)>();
    shown::<(source::SourceBuilder<source::Add, source::Paced>, source::Edge, source::Paced, source::Unpaced)>();
    shown::<(StallPolicy, StallReport, WaitingThread, PanicReport<'static>, LossReport<'static>)>();
    // The closure that they give back need not be.
    shown::<(SubmitError<fn()>, SyncError<fn()>, SendError<fn()>, PortError, ClockError)>();
    fn of_closure<F: FnOnce()>(_: F) {
        shown::<(SubmitError<F>, SyncError<F>)>();
    }
    of_closure(|| ());
}

#[test]
fn errors_are_errors() {
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<BuildError>();
    error::<EventLoopError>();
    error::<GroupError>();
    error::<PaceError>();
    error::<RuntimeError>();
    error::<SuspendError>();
    error::<TimerError>();
    error::<MainQueueError>();
    error::<WaitError>();
    error::<WatchError>();
    error::<WorkItemError>();
    #[cfg(feature = "process")]
    error::<ProcessError>();
    #[cfg(feature = "process")]
    error::<RefusedChild>();
    #[cfg(feature = "io")]
    error::<MemoryPressureError>();
    error::<SubmitError<fn()>>();
    error::<SyncError<fn()>>();
}

#[cfg(feature = "signal")]
#[test]
fn signals_and_their_sources_are_shared_between_threads() {
    shared::<(Signal, SignalError, source::Arrivals, source::SignalSender)>();
    shared::<(Source<source::Signals>, source::GracefulShutdown)>();
    shown::<(Signal, SignalError, source::Arrivals, source::SignalSender)>();
    shown::<(Source<source::Signals>, source::SourceBuilder<source::Signals>, source::GracefulShutdown)>();
    is_not!(source::GracefulShutdown, Clone);
}

#[test]
fn a_closure_may_borrow_in_a_sync_call_only() {
    fn sync<'a>(queue: &Queue, text: &'a str) -> &'a str {
        queue.exec_sync(|| text.trim())
    }
    let text = String::from(" borrowed ");
    assert_eq!(sync(&Queue::serial("borrowing"), &text), "borrowed");
}
