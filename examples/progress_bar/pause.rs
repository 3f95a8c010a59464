//! Pauses: real ones, and those that only look like it.

use crate::gate::ClosedGate;
use crate::gate::Gate;
use crate::meter::Meter;
use crate::meter::StillMeter;
use clap::ValueEnum;
use concourse::Queue;
use concourse::SuspendError;
use concourse::SuspendGuard;
use std::sync::Arc;

/// What stands still in a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PauseMode {
    /// The bar alone: the work goes on, and the bar jumps afterwards
    Source,
    /// The queue: no other file is begun, and those that are open are read to their end
    Queue,
    /// The queue and the bar
    Both,
    /// The queue and a gate: no other file is begun, and nothing more is read of those that are open
    #[default]
    Gate,
}

/// A pause, until it is dropped.
pub(crate) struct Pause {
    _queue: Option<SuspendGuard>,
    _gate: Option<ClosedGate>,
    _meter: Option<StillMeter>,
}

impl Pause {
    pub(crate) fn begin(mode: PauseMode, work: &Queue, gate: &Arc<Gate>, meter: &Meter) -> Result<Self, SuspendError> {
        let (queue, still) = match mode {
            PauseMode::Source => (false, true),
            PauseMode::Queue | PauseMode::Gate => (true, false),
            PauseMode::Both => (true, true),
        };
        Ok(Self {
            _queue: queue.then(|| work.suspend_guard()).transpose()?,
            _gate: (mode == PauseMode::Gate).then(|| gate.close()),
            _meter: still.then(|| meter.hold_still()).transpose()?,
        })
    }
}
