//! Signals that steer the program.

use crate::control::Command;
use crate::control::Control;
use concourse::Signal;
use concourse::SignalError;
use concourse::Source;
use concourse::source::Arrivals;
use concourse::source::Signals;
use std::fs;
use std::sync::Arc;

/// The exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a signal means. The exit codes are those by which a shell tells which signal has ended a program: 128 more.
const COMMANDS: [(Signal, Command); 8] = [
    (Signal::HUP, Command::Cancel(129)),
    (Signal::INT, Command::Cancel(INTERRUPTED)),
    (Signal::QUIT, Command::Status),
    (Signal::USR1, Command::TogglePause),
    (Signal::TERM, Command::Cancel(143)),
    (Signal::CONT, Command::Continue),
    (Signal::TSTP, Command::Stop),
    (Signal::WINCH, Command::Redraw),
];

/// Obeys signals as long as the sources are kept.
///
/// Those that the program was started to ignore are left ignored, as `nohup` does with the first.
pub(crate) fn listen(control: &Arc<Control>) -> Result<Vec<Source<Signals>>, SignalError> {
    let ignored = ignored();
    let heard = COMMANDS.iter().filter(|(signal, _)| ignored >> (signal.number() - 1) & 1 == 0);
    heard
        .map(|&(signal, command)| {
            let obeying = Arc::clone(control);
            let obey =
                move |arrivals: Arrivals| (0..times(command, arrivals.count)).for_each(|_| obeying.obey(command));
            Source::signal(control.queue(), signal).on_event(obey).activate()
        })
        .collect()
}

/// How often a command is meant if its signal has arrived so many times.
fn times(command: Command, count: u64) -> u64 {
    match command {
        Command::TogglePause => count % 2,
        Command::Cancel(_) => count.min(2),
        _ => 1,
    }
}

/// The signals that are ignored at present: signal 1 is the lowest bit.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_come_together_are_obeyed_as_if_they_had_come_one_by_one() {
        assert_eq!([1, 2, 3, 4].map(|count| times(Command::TogglePause, count)), [1, 0, 1, 0]);
        assert_eq!([1, 2, 3].map(|count| times(Command::Cancel(143), count)), [1, 2, 2]);
        assert_eq!([1, 5].map(|count| times(Command::Stop, count)), [1, 1]);
    }

    #[test]
    fn exit_codes_name_their_signals() {
        for (signal, command) in COMMANDS {
            if let Command::Cancel(code) = command {
                assert_eq!(i32::from(code), 128 + signal.number());
            }
        }
    }

    #[test]
    fn what_is_ignored_is_known() {
        // Every Rust program ignores this one from its start.
        let ignored = ignored();
        assert_eq!(ignored >> (Signal::PIPE.number() - 1) & 1, 1, "{ignored:x}");
        assert_eq!(ignored >> (Signal::SEGV.number() - 1) & 1, 0, "{ignored:x}");
    }
}
