//! Demo 4. A pause of the queue lets the step that runs go on and no other begin; a pause of the source lets a call that
//! runs go on and no other begin. No step is lost by any of them, where the original's flag has lost up to 18 units.

use crate::demos::pause;
use crate::demos::pause::Paused;
use crate::demos::pause::Work;
use crate::finish;
use crate::journal;
use crate::runtime;
use std::thread;
use std::time::Duration;

#[test]
fn a_paused_queue_begins_nothing_and_goes_on_where_it_was() {
    let runtime = runtime();
    for paused in [Paused::Both, Paused::Queue] {
        let interrupted = pause::run(&runtime, &journal().0, paused).unwrap();
        assert!(interrupted.begun <= 1, "{interrupted:?}");
        assert!(paused == Paused::Queue || interrupted.drawn <= 1, "{interrupted:?}");
        assert_eq!(interrupted.delivered.total, 100);
    }
    finish(&runtime);
}

#[test]
fn a_paused_source_shows_in_one_jump_what_went_on_meanwhile() {
    let runtime = runtime();
    let interrupted = pause::run(&runtime, &journal().0, Paused::Source).unwrap();
    // The step that began last may not have merged before the pause was over.
    assert!(interrupted.drawn <= 1 && interrupted.delivered.largest + 1 >= interrupted.begun, "{interrupted:?}");
    assert_eq!(interrupted.delivered.total, 100);
    finish(&runtime);
}

#[test]
fn no_step_is_lost_in_fifty_pauses_of_which_every_fourth_is_doubled() {
    const STEPS: u64 = 5_000;
    let runtime = runtime();
    let work = Work::start(&runtime, &journal().0, STEPS, Duration::ZERO);
    for round in 0..50 {
        work.wait_for(round * STEPS / 50).unwrap();
        let paused = [Paused::Both, Paused::Queue, Paused::Source][(round % 3) as usize];
        let pause = work.pause(paused).unwrap();
        let again = round.is_multiple_of(4).then(|| work.pause(paused).unwrap());
        let (begun, drawn) = (work.begun(), work.bar.delivered().calls);
        // One of two pauses is over, which changes nothing.
        let still_paused = again.unwrap_or(pause);
        (0..round).for_each(|_| thread::yield_now());
        assert!(paused == Paused::Source || work.begun() <= begun + 1, "in round {round}");
        assert!(paused == Paused::Queue || work.bar.delivered().calls <= drawn + 1, "in round {round}");
        drop(still_paused);
    }
    assert_eq!((work.bar.wait().unwrap().total, work.begun()), (STEPS, STEPS));
    finish(&runtime);
}
