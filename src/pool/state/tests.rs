//! Walks every transition from every legal reading of a small pool.

use super::*;

const THREADS: usize = 2;
const CAP: usize = 3;

/// Every legal reading of a pool with at most `CAP` threads.
fn legal() -> Vec<Snapshot> {
    let mut words = vec![0];
    for field in [SEARCHING, BLOCKED, AWAKE, LIVE, LIMIT] {
        words = words.iter().flat_map(|word| (0..=CAP as u64).map(move |count| word | field.put(count))).collect();
    }
    let flags = [0, STOPPED.mask(), CANCELLED.mask(), WATCHED.mask(), WATCHED.mask() | RELIED.mask()];
    words.iter().flat_map(|word| flags.map(|flags| Snapshot(word | flags))).filter(|s| s.is_legal()).collect()
}

fn at(snapshot: Snapshot) -> State {
    let state = State::new(THREADS, CAP);
    state.word.store(snapshot.0, Ordering::Relaxed);
    state
}

/// What a transition did to the counts: searching, blocked, awake, live.
fn change(before: Snapshot, state: &State) -> [isize; 4] {
    let after = state.read();
    assert!(after.is_legal(), "{before:?} became {after:?}");
    let rest = [LIMIT, STOPPED, CANCELLED, WATCHED, RELIED].map(Field::mask).into_iter().sum::<u64>();
    assert_eq!(before.0 & rest, after.0 & rest);
    [
        after.searching() as isize - before.searching() as isize,
        after.blocked() as isize - before.blocked() as isize,
        after.awake() as isize - before.awake() as isize,
        after.live() as isize - before.live() as isize,
    ]
}

#[test]
fn exchanges_happen_exactly_when_their_condition_holds() {
    let readings = legal();
    assert!(readings.len() > 500);
    for before in readings {
        let free = before.live() < CAP && !before.is_stopped();
        let state = at(before);
        let expected = free && before.live() - before.blocked() < before.limit();
        assert_eq!(state.start(CAP), expected, "{before:?}");
        assert_eq!(change(before, &state), if expected { [1, 0, 1, 1] } else { [0; 4] });

        let state = at(before);
        let expected = free && before.active() == 0;
        assert_eq!(state.stand_in(), expected, "{before:?}");
        assert_eq!(change(before, &state), if expected { [0, 0, 1, 1] } else { [0; 4] });

        let state = at(before);
        let expected = before.active() > before.limit();
        if before.active() > before.searching() {
            assert_eq!(state.lie_down_as_surplus(), expected, "{before:?}");
            assert_eq!(change(before, &state), if expected { [0, 0, -1, 0] } else { [0; 4] });
            let state = at(before);
            let expected = before.active() <= before.limit() && before.searching() * 2 < before.limit();
            assert_eq!(state.search(), expected, "{before:?}");
            assert_eq!(change(before, &state), if expected { [1, 0, 0, 0] } else { [0; 4] });
        }
    }
}

#[test]
fn counts_move_as_the_transitions_say() {
    for before in legal() {
        let run = |transition: &dyn Fn(&State), expected| {
            let state = at(before);
            transition(&state);
            assert_eq!(change(before, &state), expected, "{before:?}");
        };
        if before.sleeping() > 0 {
            run(&|state| state.call(), [1, 0, 1, 0]);
            run(&|state| state.rise(), [0, 0, 1, 0]);
        }
        if before.searching() > 0 {
            run(&|state| assert_eq!(state.found(), before.searching() == 1), [-1, 0, 0, 0]);
            run(&|state| state.give_up(), [-1, 0, -1, 0]);
            run(&|state| state.unstart(), [-1, 0, -1, -1]);
        }
        if before.active() > before.searching() {
            run(&|state| state.block(), [0, 1, 0, 0]);
            run(&|state| state.lie_down(), [0, 0, -1, 0]);
            run(&|state| state.leave(), [0, 0, -1, -1]);
        }
        if before.blocked() > 0 {
            run(&|state| state.unblock(), [0, -1, 0, 0]);
        }
    }
}

#[test]
fn a_push_is_never_left_to_nobody_who_could_run_it() {
    for before in legal() {
        let room = before.active() < before.limit();
        let expected = if before.is_stopped() {
            Need::Discard
        } else if before.searching() > 0 {
            Need::Nobody
        } else if room && before.sleeping() > 0 {
            Need::Sleeper
        } else if room && before.live() < CAP {
            Need::Thread
        } else if before.is_relied() {
            Need::Nobody
        } else {
            Need::Sentinel
        };
        assert_eq!(at(before).need(), expected, "{before:?}");
    }
}

#[test]
fn flags_change_by_themselves() {
    for before in legal() {
        let state = at(before);
        assert_eq!(state.rely(), !before.is_watched());
        assert!(state.read().is_relied() && !state.unwatch());
        assert!(state.tick().is_relied());
        assert!(state.read().is_watched() && state.unwatch());
        assert!(!state.read().is_watched());
        assert!(state.rely());
        state.unrely();
        assert!(!state.read().is_watched() && !state.read().is_relied());
        state.stop();
        state.cancel();
        state.set_limit(3);
        let after = state.read();
        assert!(after.is_stopped() && after.is_cancelled() && after.limit() == 3);
    }
}
