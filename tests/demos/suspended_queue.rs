//! Demo 3, a hundred times with tasks of a millisecond.

use crate::demos::suspended_queue;
use crate::finish;
use crate::journal;
use crate::runtime;
use std::time::Duration;

#[test]
fn a_queue_that_has_suspended_itself_runs_its_second_task_when_it_is_resumed() {
    let runtime = runtime();
    for _ in 0..100 {
        let (journal, lines) = journal();
        suspended_queue::run(&runtime, &journal, Duration::from_millis(1)).unwrap();
        let lines = lines.lock();
        let both = ["both queues are suspended", "the second tasks are submitted"];
        // What one of the queues says, between what is said of both. The two of them are free to overlap.
        for (own, other) in [("left: ", "right: "), ("right: ", "left: ")] {
            let seen: Vec<_> = lines.iter().filter(|line| !line.starts_with(other)).collect();
            let said = |text| format!("{own}{text}");
            let first = ["first task begins", "first task is done", "suspended"].map(said);
            let expected = [&first[..], &both.map(str::to_owned), &[said("second task")]].concat();
            assert!(seen.into_iter().eq(&expected), "{lines:?}");
        }
    }
    finish(&runtime);
}
