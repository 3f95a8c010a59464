//! How each kind of source becomes a stream: by its own activation.

use super::MessageStream;
use super::SourceStream;
use crate::error::ClockError;
#[cfg(feature = "fs")]
use crate::error::FileError;
#[cfg(feature = "io")]
use crate::error::MemoryPressureError;
use crate::error::PaceError;
use crate::error::PortError;
#[cfg(feature = "process")]
use crate::error::ProcessError;
#[cfg(feature = "process")]
use crate::error::RefusedChild;
#[cfg(feature = "signal")]
use crate::error::SignalError;
use crate::error::TimerError;
#[cfg(feature = "io")]
use crate::error::WatchError;
use crate::source::ClockSteps;
use crate::source::Mergeable;
use crate::source::Paced;
use crate::source::Port;
#[cfg(feature = "signal")]
use crate::source::Signals;
use crate::source::SourceBuilder;
use crate::source::Timer;
#[cfg(feature = "process")]
use crate::source::{ChildProcess, Process};
#[cfg(feature = "io")]
use crate::source::{Descriptor, Direction, MemoryPressure};
#[cfg(feature = "fs")]
use crate::source::{File, Vnode};
use std::convert::Infallible;
#[cfg(feature = "io")]
use std::os::fd::AsFd;

impl<K: Mergeable<Value: Send>> SourceBuilder<K> {
    /// Starts the source as a stream of what is merged: see [`SourceStream`]. Replaces the handler of events.
    pub fn stream(self) -> SourceStream<K> {
        let Ok(stream) = self.stream_by(|builder| Ok::<_, Infallible>(builder.activate()));
        stream
    }
}

impl<K: Mergeable<Value: Send>> SourceBuilder<K, Paced> {
    /// Starts the source as a stream of what is merged: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<K>, PaceError> {
        self.stream_by(Self::activate)
    }
}

impl<P> SourceBuilder<Timer, P> {
    /// Starts the timer as a stream of times that have come: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<Timer>, TimerError> {
        self.stream_by(Self::activate)
    }
}

impl<P> SourceBuilder<ClockSteps, P> {
    /// Starts the source as a stream of steps of the wall clock: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<ClockSteps>, ClockError> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "io")]
impl<F: AsFd + Send + Sync + 'static, D: Direction, P> SourceBuilder<Descriptor<F, D>, P> {
    /// Starts to wait for the descriptor as a stream of what it is ready for: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<Descriptor<F, D>>, WatchError> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "io")]
impl<P> SourceBuilder<MemoryPressure, P> {
    /// Starts the source as a stream of levels: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<MemoryPressure>, MemoryPressureError> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "signal")]
impl<P> SourceBuilder<Signals, P> {
    /// Starts the source as a stream of arrivals: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<Signals>, SignalError> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "process")]
impl<P> SourceBuilder<Process, P> {
    /// Starts the source as a stream of the end of the process: see [`SourceStream`]. Replaces the handler of events. Nothing follows it, but the stream ends only when the source does.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<Process>, ProcessError> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "process")]
impl<P> SourceBuilder<ChildProcess, P> {
    /// Starts the source as a stream of the end of the child: see [`SourceStream`]. Replaces the handler of events. Nothing follows it, but the stream ends only when the source does.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<ChildProcess>, RefusedChild> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "fs")]
impl<P> SourceBuilder<File, P> {
    /// Starts the source as a stream of changes: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<File>, FileError> {
        self.stream_by(Self::activate)
    }
}

#[cfg(feature = "fs")]
impl<P> SourceBuilder<Vnode, P> {
    /// Starts the source as a stream of events: see [`SourceStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<SourceStream<Vnode>, FileError> {
        self.stream_by(Self::activate)
    }
}

impl<T: Send + 'static, P> SourceBuilder<Port<T>, P> {
    /// Starts the port as a stream of its messages: see [`MessageStream`]. Replaces the handler of events.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn stream(self) -> Result<MessageStream<T>, PortError> {
        self.stream_by(Self::activate).map(MessageStream::new)
    }
}
