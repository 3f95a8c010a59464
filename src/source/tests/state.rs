//! Every transition from every kind of snapshot.

use super::*;

const PHASES: [Phase; 6] = [Phase::Idle, Phase::Scheduled, Phase::Running, Phase::Dirty, Phase::Parked, Phase::Closed];

/// Every phase with every flag, sated or not, not suspended, suspended once, twice and to the limit.
fn snapshots() -> impl Iterator<Item = Snapshot> {
    let endings = [0, CANCELLED, ENDING, CANCELLED | ENDING];
    PHASES.into_iter().flat_map(move |phase| {
        let flags = endings.into_iter().flat_map(|ending| [ending, ending | TIMED]);
        flags.flat_map(|flags| [flags, flags | SATED]).flat_map(move |flags| {
            [0, SUSPEND, 2 * SUSPEND, SUSPENDS].map(|suspends| Snapshot(suspends | flags | phase as u32))
        })
    })
}

fn legal(word: Snapshot) -> bool {
    // Only what holds a source parks it, and an idle source has nothing left to end.
    match word.phase() {
        Phase::Parked => word.is_held(),
        Phase::Idle | Phase::Running => !word.has_ended(),
        _ => true,
    }
}

fn state(word: Snapshot) -> State {
    State(AtomicU32::new(word.0))
}

fn flags(word: Snapshot) -> u32 {
    word.0 & (CANCELLED | ENDING)
}

fn is_timed(word: Snapshot) -> bool {
    word.0 & TIMED != 0
}

fn is_sated(word: Snapshot) -> bool {
    word.0 & SATED != 0
}

#[test]
fn an_ending_turn_may_be_running_when_it_began_that_way() {
    // The one exception to `legal`: the last turn itself runs without being dirty.
    for word in [CANCELLED, ENDING, CANCELLED | ENDING].map(|flags| Snapshot(flags | Phase::Scheduled as u32)) {
        let state = state(word);
        assert_eq!(state.begin(), Turn::Close { cancelled: word.is_cancelled() });
        assert_eq!(state.load().phase(), Phase::Running);
        state.close();
        assert_eq!(state.load(), word.with(Phase::Closed));
    }
}

#[test]
fn a_new_source_is_held_until_it_is_resumed_once() {
    let state = State::inactive();
    assert_eq!(state.knock(), Knock::Heard(Duty::Nothing));
    assert_eq!(state.load().phase(), Phase::Parked);
    assert_eq!(state.resume(), Ok(Duty::Schedule));
    assert_eq!(state.resume(), Err(OutOfRange));
    assert_eq!(State::inactive().resume(), Ok(Duty::Nothing));
}

#[test]
fn a_knock_schedules_once_and_only_from_idle() {
    for word in snapshots().filter(|word| legal(*word)) {
        let state = state(word);
        let knock = state.knock();
        let after = state.load();
        assert_eq!((after.suspends(), flags(after), is_timed(after)), (word.suspends(), flags(word), is_timed(word)));
        match word.phase() {
            _ if word.has_ended() => assert_eq!((knock, after), (Knock::Ended, word)),
            Phase::Idle if word.is_held() => {
                assert_eq!((knock, after.phase()), (Knock::Heard(Duty::Nothing), Phase::Parked));
            }
            Phase::Idle => assert_eq!((knock, after.phase()), (Knock::Heard(Duty::Schedule), Phase::Scheduled)),
            Phase::Running => assert_eq!((knock, after.phase()), (Knock::Heard(Duty::Nothing), Phase::Dirty)),
            _ => assert_eq!((knock, after), (Knock::Heard(Duty::Nothing), word)),
        }
        if !word.has_ended() {
            assert_eq!(state.knock(), Knock::Heard(Duty::Nothing), "the second of {word:?}");
        }
    }
}

#[test]
fn a_merge_is_heard_without_a_knock_if_a_turn_is_owed_and_nobody_wants_to_know_of_it() {
    for word in snapshots().filter(|word| legal(*word)) {
        let state = state(word);
        assert_eq!(state.hears(), state.is_owed() && flags(word) == 0 && !is_timed(word), "{word:?}");
        if state.hears() {
            assert_eq!((state.knock(), state.load()), (Knock::Heard(Duty::Nothing), word));
        }
        state.time_merges();
        assert_eq!((state.hears(), state.load()), (false, Snapshot(word.0 | TIMED)));
    }
}

#[test]
fn a_turn_would_deliver_if_it_would_begin_and_not_be_the_last() {
    for word in snapshots().filter(|word| word.phase() == Phase::Scheduled) {
        let state = state(word);
        assert_eq!(state.delivers(), state.begin() == Turn::Deliver, "{word:?}");
    }
}

#[test]
fn a_turn_begins_unless_it_is_held() {
    for word in snapshots().filter(|word| word.phase() == Phase::Scheduled) {
        let state = state(word);
        let turn = state.begin();
        let held = word.suspends() > 0 && flags(word) & ENDING == 0 || is_sated(word) && flags(word) == 0;
        let expected = match () {
            () if held => Turn::Parked,
            () if flags(word) != 0 => Turn::Close { cancelled: flags(word) & CANCELLED != 0 },
            () => Turn::Deliver,
        };
        assert_eq!(turn, expected, "{word:?}");
        assert_eq!(state.load(), word.with(if held { Phase::Parked } else { Phase::Running }));
    }
}

#[test]
fn a_turn_ends_idle_or_owes_the_next() {
    for word in snapshots().filter(|word| matches!(word.phase(), Phase::Running | Phase::Dirty)) {
        if !legal(word) {
            continue;
        }
        let state = state(word);
        let duty = state.finish();
        let expected = match word.phase() {
            Phase::Running => (Duty::Nothing, Phase::Idle),
            _ if word.is_held() => (Duty::Nothing, Phase::Parked),
            _ => (Duty::Schedule, Phase::Scheduled),
        };
        assert_eq!((duty, state.load()), (expected.0, word.with(expected.1)), "{word:?}");
        assert!(legal(state.load()));
    }
}

#[test]
fn suspensions_are_counted_and_the_last_resume_releases_what_is_parked() {
    for word in snapshots().filter(|word| legal(*word)) {
        let suspended = state(word);
        let result = suspended.suspend();
        assert_eq!(result.is_ok(), word.0 < SUSPENDS, "{word:?}");
        let up = suspended.load().suspends();
        assert_eq!(up, word.suspends() + u32::from(result.is_ok()));
        assert_eq!(suspended.load().0 & !SUSPENDS, word.0 & !SUSPENDS);

        let resumed = state(word);
        match resumed.resume() {
            Err(OutOfRange) => assert_eq!((word.suspends(), resumed.load()), (0, word)),
            Ok(duty) => {
                let after = resumed.load();
                assert_eq!(after.suspends() + 1, word.suspends());
                let is_sated = is_sated(word) && flags(word) == 0;
                let released = word.phase() == Phase::Parked && after.suspends() == 0 && !is_sated;
                assert_eq!(duty == Duty::Schedule, released, "{word:?}");
                let phase = if released { Phase::Scheduled } else { word.phase() };
                assert_eq!(after.phase(), phase);
                assert!(legal(after));
            }
        }
    }
}

#[test]
fn a_sated_source_waits_for_somebody_to_ask() {
    for word in snapshots().filter(|word| legal(*word)) {
        let sated = state(word);
        sated.sate();
        assert_eq!(sated.load().0, word.0 | SATED);

        let asked = state(word);
        let duty = asked.ask();
        let after = asked.load();
        assert_eq!(after.0 & !PHASE, word.0 & !SATED & !PHASE);
        let released = word.phase() == Phase::Parked && !after.is_held();
        assert_eq!(duty == Duty::Schedule, released, "{word:?}");
        assert_eq!(after.phase(), if released { Phase::Scheduled } else { word.phase() });
        assert!(legal(after));
        assert_eq!((asked.ask(), asked.load()), (Duty::Nothing, after), "a second time changes nothing");
    }
}

#[test]
fn an_end_leads_to_one_last_turn_and_a_held_cancellation_waits_for_it() {
    type Transition = fn(&State) -> Duty;
    let transitions: [(u32, Transition); 3] =
        [(CANCELLED, State::cancel), (CANCELLED | ENDING, State::cancel_now), (ENDING, State::end)];
    for word in snapshots().filter(|word| legal(*word)) {
        for (set, transition) in transitions {
            let state = state(word);
            let duty = transition(&state);
            let after = state.load();
            assert_eq!((after.suspends(), flags(after)), (word.suspends(), flags(word) | set));
            assert!(is_timed(after) == is_timed(word) && legal(after), "{word:?} became {after:?}");
            let expected = match word.phase() {
                Phase::Idle | Phase::Parked if after.is_held() => (Duty::Nothing, Phase::Parked),
                Phase::Idle | Phase::Parked => (Duty::Schedule, Phase::Scheduled),
                Phase::Running | Phase::Dirty => (Duty::Nothing, Phase::Dirty),
                Phase::Scheduled => (Duty::Nothing, Phase::Scheduled),
                Phase::Closed => (Duty::Nothing, Phase::Closed),
            };
            assert_eq!((duty, after.phase()), expected, "{word:?}");
            assert_eq!(transition(&state), Duty::Nothing, "a second time changes nothing");
            assert_eq!(state.load(), after);
            assert_eq!(state.is_cancelled(), (flags(word) | set) & CANCELLED != 0);
        }
    }
}
