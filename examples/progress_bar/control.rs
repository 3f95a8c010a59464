//! What a person can have the program do while it works, by keys or by signals.

use crate::flow::Flow;
use crate::pause::Pause;
use crate::pause::PauseMode;
use crate::way_out::WayOut;
use concourse::Queue;
use parking_lot::Mutex;
use rustix::process::Signal;
use rustix::process::getpid;
use rustix::process::kill_process;
use std::sync::Arc;

/// An order to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Pauses, or goes on.
    TogglePause,
    /// Says where the job is, on a line that stays.
    Status,
    /// Hashes one file more at the same time.
    MoreJobs,
    /// Hashes one file less at the same time.
    FewerJobs,
    /// Gives up what is not done and ends with this exit code; the second time at once.
    Cancel(u8),
    /// Lets the shell have the terminal, and sleeps until the shell says otherwise.
    Stop,
    /// Has the terminal again.
    Continue,
    /// Draws anew.
    Redraw,
}

/// Obeys, one command at a time.
pub(crate) struct Control {
    queue: Queue,
    flow: Arc<Flow>,
    way_out: Arc<WayOut>,
    mode: PauseMode,
    most_jobs: usize,
    /// Touched only on the queue, so nobody ever waits for this lock.
    desk: Mutex<Desk>,
}

/// What was ordered so far.
struct Desk {
    pause: Option<Pause>,
    jobs: usize,
    cancelled: Option<u8>,
    /// The work is over, whether it is done or was given up: only its last lines are to be written.
    over: bool,
}

impl Control {
    /// Obeys on `queue`, where nothing ever waits: so whatever the rest of the program waits for, it can be ended.
    pub(crate) fn new(
        queue: &Queue,
        flow: &Arc<Flow>,
        way_out: &Arc<WayOut>,
        mode: PauseMode,
        most_jobs: usize,
    ) -> Self {
        Self {
            queue: queue.clone(),
            flow: Arc::clone(flow),
            way_out: Arc::clone(way_out),
            mode,
            most_jobs,
            desk: Mutex::new(Desk { pause: None, jobs: most_jobs, cancelled: None, over: false }),
        }
    }

    /// The queue on which [`obey`](Self::obey) is called.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn obey(&self, command: Command) {
        let desk = &mut *self.desk.lock();
        match command {
            Command::TogglePause => self.toggle_pause(desk),
            // Below the last lines it would be out of place.
            Command::Status if desk.over => {}
            Command::Status => self.flow.meter.status(),
            Command::MoreJobs => self.set_jobs(desk, desk.jobs + 1),
            Command::FewerJobs => self.set_jobs(desk, desk.jobs - 1),
            Command::Cancel(code) => self.cancel(desk, code),
            Command::Stop => self.stop(),
            Command::Continue => self.go_on(),
            Command::Redraw => self.flow.meter.redraw(),
        }
    }

    /// Ends every pause, now that the work is over. Gives the exit code if it was cancelled.
    pub(crate) fn end(&self) -> Option<u8> {
        self.queue.exec_sync(|| {
            let mut desk = self.desk.lock();
            desk.over = true;
            self.resume(&mut desk);
            desk.cancelled
        })
    }

    fn toggle_pause(&self, desk: &mut Desk) {
        let Flow { hash, gate, meter, .. } = &*self.flow;
        if desk.pause.is_some() {
            return self.resume(desk);
        }
        // Nobody pauses what is over, or is about to be.
        if desk.cancelled.is_none() && !desk.over {
            // It only fails when there are too many suspensions, and here is one at a time.
            desk.pause = Pause::begin(self.mode, hash, gate, meter).inspect(|_| meter.pause()).ok();
        }
    }

    fn resume(&self, desk: &mut Desk) {
        if desk.pause.take().is_some() {
            self.flow.meter.resume();
        }
    }

    fn set_jobs(&self, desk: &mut Desk, jobs: usize) {
        // A number that is out of range is one key too many, and nothing to complain of.
        if (1..=self.most_jobs).contains(&jobs) && self.flow.hash.set_width(jobs).is_ok() {
            desk.jobs = jobs;
            self.flow.meter.jobs(jobs, self.most_jobs);
        }
    }

    fn cancel(&self, desk: &mut Desk, code: u8) {
        if desk.cancelled.is_some() || desk.over {
            self.way_out.at_once(code, "ended at once");
        }
        desk.cancelled = Some(code);
        self.flow.gate.cancel();
        self.resume(desk);
    }

    fn stop(&self) {
        let way_out = Arc::clone(&self.way_out);
        self.flow.meter.hide(move || {
            if let Some(terminal) = way_out.terminal() {
                terminal.leave();
            }
            // The one that cannot be caught. Every thread sleeps until SIGCONT comes; one's own process may be sent it.
            let _ = kill_process(getpid(), Signal::STOP);
        });
    }

    fn go_on(&self) {
        if let Some(terminal) = self.way_out.terminal() {
            terminal.enter();
        }
        self.flow.meter.show();
    }
}
