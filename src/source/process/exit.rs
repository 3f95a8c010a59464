//! How a process has ended, and what it has cost.

use rustix::param::clock_ticks_per_second;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::WaitIdStatus;
use rustix::process::waitid;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "../tests/exit.rs"]
mod tests;

/// The end of a process: what the handler of [`Source::process`](crate::Source::process) and of
/// [`Source::child`](crate::Source::child) receives.
///
/// What is not known is `None`, and never made up. The system tells a status only to the parent of a process, and only
/// until somebody has waited for it: so both are `None` for a process that is not a child of this one, for a child that
/// somebody else had waited for before the source could look, and for every child if the program ignores `SIGCHLD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// The process that has ended. By now the system may have given the number to another one.
    pub pid: u32,
    /// Its code, or the signal that ended it and whether it dumped core.
    pub status: Option<ExitStatus>,
    /// The processor time that it has used. Also `None` if `/proc` could not be read.
    pub times: Option<CpuTimes>,
}

/// Processor time that a process has used, with that of the descendants that it has waited for, as a shell's `time` counts
/// it. The system counts in ticks, which are mostly of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuTimes {
    /// In the program itself.
    pub user: Duration,
    /// In the kernel, on behalf of the program.
    pub system: Duration,
}

impl Exit {
    /// Looks at a process whose descriptor is ready, and leaves it to be waited for. `None` if a wait would not find it yet.
    pub(super) fn look(pid: u32, pidfd: BorrowedFd<'_>) -> Option<Self> {
        let look =
            || waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        let status = match look() {
            Ok(Some(status)) => exit_status(&status),
            Ok(None) => return None,
            // It is no child, or no longer one that can be waited for.
            Err(_) => None,
        };
        // The number belongs to the process until somebody waits for it. If nobody had until after the file was read, the
        // file was its.
        let times = status.and_then(|_| CpuTimes::of(pid)).filter(|_| matches!(look(), Ok(Some(_))));
        Some(Self { pid, status, times })
    }
}

/// The status as the standard library has it, which is as `wait` encodes it.
fn exit_status(status: &WaitIdStatus) -> Option<ExitStatus> {
    const CORE_DUMPED: i32 = 0x80;
    let exited = status.exit_status().map(|code| (code & 0xff) << 8);
    let raw = exited.or_else(|| {
        let dumped = if status.dumped() { CORE_DUMPED } else { 0 };
        status.terminating_signal().map(|signal| signal | dumped)
    });
    raw.map(ExitStatus::from_raw)
}

impl CpuTimes {
    /// What the system has noted of the process that has this number now.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&stat, clock_ticks_per_second())
    }

    /// Reads the text of a `/proc/PID/stat`.
    ///
    /// The second field is the name of the program in parentheses, and may have spaces and parentheses in it, and no valid
    /// UTF-8. No field after it has a parenthesis.
    fn parse(stat: &[u8], ticks_per_second: u64) -> Option<Self> {
        /// Behind the name, which fields come before the four of interest.
        const BEFORE: usize = 11;
        let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = str::from_utf8(&stat[end_of_name + 1..]).ok()?.split_ascii_whitespace();
        let mut ticks = fields.skip(BEFORE).map(|field| field.parse::<u64>().ok());
        let mut next = || ticks.next().flatten();
        let (user, system, user_of_descendants, system_of_descendants) = (next()?, next()?, next()?, next()?);
        let time = |ticks: u64, more: u64| {
            let nanos = u128::from(ticks.saturating_add(more)) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        Some(Self { user: time(user, user_of_descendants), system: time(system, system_of_descendants) })
    }
}
