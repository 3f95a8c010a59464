//! Demo 3: two serial queues that suspend themselves after their first task. The second task of each is submitted
//! while they are suspended, and runs when they are resumed.

use super::Journal;
use super::Outcome;
use super::PATIENCE;
use concourse::Group;
use concourse::Runtime;
use std::thread;
use std::time::Duration;

pub(crate) fn play(runtime: &Runtime, journal: &Journal) -> Outcome<()> {
    run(runtime, journal, Duration::from_secs(1))
}

/// Each first task takes the time `task`.
pub(crate) fn run(runtime: &Runtime, journal: &Journal, task: Duration) -> Outcome<()> {
    let queues = ["left", "right"].map(|label| runtime.serial(label));
    let (suspending, second_tasks) = (Group::new(), Group::new());
    for queue in &queues {
        let (journal, own) = (journal.clone(), queue.clone());
        queue.exec_async({
            let (journal, own) = (journal.clone(), own.clone());
            move || {
                journal.note(format_args!("{}: first task begins", own.label()));
                thread::sleep(task);
                journal.note(format_args!("{}: first task is done", own.label()));
            }
        });
        suspending.exec_async(queue, move || {
            // A queue may hold itself: this job goes on to its end, and leaves its group; the next does not begin.
            match own.suspend() {
                Ok(()) => journal.note(format_args!("{}: suspended", own.label())),
                Err(error) => journal.note(error),
            }
        });
    }
    suspending.wait_timeout(PATIENCE)?;
    journal.note("both queues are suspended");
    for queue in &queues {
        let (journal, own) = (journal.clone(), queue.clone());
        second_tasks.exec_async(queue, move || journal.note(format_args!("{}: second task", own.label())));
    }
    journal.note("the second tasks are submitted");
    for queue in &queues {
        queue.resume()?;
    }
    second_tasks.wait_timeout(PATIENCE)?;
    Ok(())
}
