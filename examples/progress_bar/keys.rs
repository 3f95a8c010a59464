//! Keys that steer the program, as they are pressed.

use crate::control::Command;
use crate::control::Control;
use crate::signals;
use crate::terminal::Terminal;
use concourse::Dispatch as _;
use concourse::Source;
use concourse::WatchError;
use concourse::source::Readable;
use std::sync::Arc;
use std::time::Duration;

/// How long keys for another job are left alone before the next look.
const LATER: Duration = Duration::from_secs(1);

/// Listens until it is dropped.
pub(crate) struct Keys {
    terminal: Arc<Terminal>,
    _source: Source<Readable<Arc<Terminal>>>,
}

impl Keys {
    /// Has the terminal send keys as they are pressed, and obeys them.
    pub(crate) fn listen(control: &Arc<Control>, terminal: &Arc<Terminal>) -> Result<Self, WatchError> {
        let (queue, control) = (control.queue().clone(), Arc::clone(control));
        let source = Source::readable(&queue, Arc::clone(terminal))
            .label("keys")
            .on_ready_with(move |source, terminal, _| {
                // Another job may have the terminal, and its keys with it; or it has come back, and nobody has told.
                if !terminal.enter() {
                    let held = source.suspend_guard().ok();
                    // Without timers this is dropped at once, and the next look follows.
                    let _ = control.queue().after(LATER, move || drop(held));
                    return;
                }
                let mut keys = [0; 64];
                match terminal.read(&mut keys) {
                    Ok(count) => keys[..count].iter().filter_map(command).for_each(|command| control.obey(command)),
                    Err(_) => source.cancel(),
                }
            })
            .activate()
            // Nobody enters a terminal whose keys nobody hears.
            .inspect_err(|_| terminal.give_back())?;
        terminal.enter();
        Ok(Self { terminal: Arc::clone(terminal), _source: source })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.terminal.give_back();
    }
}

/// What a key means, if anything.
fn command(key: &u8) -> Option<Command> {
    match key {
        b'p' | b' ' => Some(Command::TogglePause),
        b's' => Some(Command::Status),
        b'+' => Some(Command::MoreJobs),
        b'-' => Some(Command::FewerJobs),
        b'q' => Some(Command::Cancel(signals::INTERRUPTED)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_meanings_and_others_have_none() {
        let commands: Vec<_> = b"p s+-q\n\x1b\x04P".iter().filter_map(command).collect();
        let expected = [
            Command::TogglePause,
            Command::TogglePause,
            Command::Status,
            Command::MoreJobs,
            Command::FewerJobs,
            Command::Cancel(130),
        ];
        assert_eq!(commands, expected);
    }
}
