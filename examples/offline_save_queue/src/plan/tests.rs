//! The delivery rules, one by one, and all of them in long runs of chance.

use super::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

const MS: Duration = Duration::from_millis(1);

fn waiting(seq: Seq, key: &str) -> Waiting {
    Waiting { seq, key: key.to_owned(), attempts: 0, next_at_ms: 0 }
}

fn plan(policy: Policy, keys: &[&str]) -> Plan {
    let mut plan = Plan::new(policy, fastrand::Rng::with_seed(3));
    for (seq, key) in (1..).zip(keys) {
        plan.add(&waiting(seq, key), Duration::ZERO, Moment::ZERO);
    }
    plan
}

fn lanes(lanes: usize) -> Policy {
    Policy { lanes, ..Policy::default() }
}

/// Everything that may be sent at `now`.
fn sends(plan: &mut Plan, now: Moment) -> Vec<Seq> {
    std::iter::from_fn(|| match plan.next(now) {
        Step::Send(seq) => Some(seq),
        _ => None,
    })
    .collect()
}

fn applied() -> Verdict {
    Verdict::Applied { duplicate: false }
}

fn later() -> Verdict {
    Verdict::Later { status: 503, retry_after_s: None, why: String::new() }
}

fn refused() -> Verdict {
    Verdict::Refused { status: 422, why: String::new() }
}

fn no_network() -> Verdict {
    Verdict::NoNetwork { why: String::new() }
}

#[test]
fn one_of_each_key_is_on_its_way_and_no_more_than_there_are_lanes() {
    let mut plan = plan(lanes(2), &["a", "a", "b", "c"]);
    assert_eq!(sends(&mut plan, MS), [1, 3]);
    assert_eq!(plan.settle(1, applied(), MS).0, Fate::Sent { duplicate: false });
    assert_eq!(sends(&mut plan, MS), [2]);
    plan.settle(3, applied(), MS);
    assert_eq!(sends(&mut plan, MS), [4]);
    plan.settle(2, applied(), MS);
    plan.settle(4, applied(), MS);
    assert_eq!(plan.next(MS), Step::Rest(None));
    assert!(plan.is_at_rest());
}

#[test]
fn one_lane_is_one_line_whatever_the_keys() {
    let mut plan = plan(lanes(1), &["a", "b"]);
    assert_eq!(sends(&mut plan, MS), [1]);
    let (Fate::Again { delay, .. }, _) = plan.settle(1, later(), MS) else { panic!() };
    assert_eq!(plan.next(MS), Step::Rest(Some(MS + delay)));
    assert_eq!(sends(&mut plan, MS + delay), [1]);
}

#[test]
fn a_key_that_rests_holds_no_other_back() {
    let mut plan = plan(lanes(4), &["a", "a", "b", "b"]);
    assert_eq!(sends(&mut plan, MS), [1, 3]);
    let (Fate::Again { attempts: 1, delay, .. }, _) = plan.settle(1, later(), MS) else { panic!() };
    plan.settle(3, applied(), MS);
    assert_eq!(sends(&mut plan, MS), [4]);
    assert_eq!(plan.next(MS), Step::Rest(Some(MS + delay)));
    assert_eq!(sends(&mut plan, MS + delay), [1]);
}

#[test]
fn delays_grow_with_chance_up_to_the_longest() {
    let policy = Policy { max_attempts: 1_000, ..lanes(1) };
    let mut longest = Duration::ZERO;
    for seed in 0..200 {
        let mut plan = Plan::new(policy, fastrand::Rng::with_seed(seed));
        plan.add(&waiting(1, "a"), Duration::ZERO, Moment::ZERO);
        let mut now = MS;
        for n in 0..14 {
            assert_eq!(sends(&mut plan, now), [1]);
            let (Fate::Again { delay, .. }, _) = plan.settle(1, later(), now) else { panic!() };
            let most = (policy.first_delay * (1 << n)).min(policy.longest_delay);
            assert!(delay <= most, "{delay:?} after {n}");
            (now, longest) = (now + delay, longest.max(delay));
        }
    }
    assert!(longest > policy.longest_delay / 2);
}

#[test]
fn the_server_may_say_when() {
    for seed in 0..100 {
        let mut plan = Plan::new(lanes(1), fastrand::Rng::with_seed(seed));
        plan.add(&waiting(1, "a"), Duration::ZERO, Moment::ZERO);
        assert_eq!(sends(&mut plan, MS), [1]);
        let verdict = Verdict::Later { status: 429, retry_after_s: Some(2), why: String::new() };
        let (Fate::Again { delay, .. }, _) = plan.settle(1, verdict, MS) else { panic!() };
        assert!((2_000..3_000).contains(&delay.as_millis()), "{delay:?}");
    }
}

#[test]
fn a_server_that_asks_for_a_year_is_given_the_longest_delay() {
    let mut plan = plan(lanes(1), &["a"]);
    assert_eq!(sends(&mut plan, MS), [1]);
    let verdict = Verdict::Later { status: 503, retry_after_s: Some(u64::MAX), why: String::new() };
    let (Fate::Again { delay, .. }, _) = plan.settle(1, verdict, MS) else { panic!() };
    assert!(delay <= Policy::default().longest_delay + Duration::from_secs(1));
}

#[test]
fn too_many_attempts_make_a_dead_letter_but_never_a_missing_network() {
    let mut plan = plan(Policy { max_attempts: 3, ..lanes(1) }, &["a"]);
    let mut now = MS;
    for _ in 0..50 {
        match plan.next(now) {
            Step::Send(seq) => assert!(matches!(plan.settle(seq, no_network(), now).0, Fate::Unsent { .. })),
            Step::Probe => assert_eq!(plan.probed(false, now), Turn::Same),
            Step::Rest(until) => now = until.unwrap(),
        }
    }
    assert!(plan.is_down());
    assert_eq!(plan.probed(true, now), Turn::CameUp);
    for attempts in 1..=3 {
        let Step::Send(seq) = plan.next(now) else { panic!() };
        match plan.settle(seq, later(), now).0 {
            Fate::Again { attempts: counted, delay, .. } => {
                assert_eq!(counted, attempts);
                now += delay;
            }
            fate => {
                assert_eq!((attempts, fate), (3, Fate::Dead { attempts: 3, status: Some(503), why: String::new() }))
            }
        }
    }
    assert_eq!(plan.next(now), Step::Rest(None));
}

#[test]
fn after_a_dead_letter_its_key_goes_on_or_waits_as_told() {
    let mut skip = plan(lanes(4), &["a", "a"]);
    assert_eq!(sends(&mut skip, MS), [1]);
    assert!(matches!(skip.settle(1, refused(), MS).0, Fate::Dead { attempts: 1, status: Some(422), .. }));
    assert_eq!(sends(&mut skip, MS), [2]);

    let mut hold = plan(Policy { on_dead: OnDead::Hold, ..lanes(4) }, &["a", "a", "b"]);
    assert_eq!(sends(&mut hold, MS), [1, 3]);
    hold.settle(1, refused(), MS);
    assert!(sends(&mut hold, MS).is_empty());
    hold.settle(3, applied(), MS);
    assert_eq!(hold.next(MS), Step::Rest(None));
    assert!(hold.is_at_rest());
    // Somebody has revived it: what waits is told anew, and nothing is dead.
    hold.forget_waiting();
    hold.add(&waiting(1, "a"), Duration::ZERO, MS);
    hold.add(&waiting(2, "a"), Duration::ZERO, MS);
    assert_eq!(sends(&mut hold, MS), [1]);
    hold.settle(1, applied(), MS);
    assert_eq!(sends(&mut hold, MS), [2]);
}

#[test]
fn dead_letters_of_an_earlier_run_hold_what_is_behind_them() {
    let mut plan = plan(Policy { on_dead: OnDead::Hold, ..lanes(4) }, &[]);
    plan.add_dead(5, "a");
    plan.add(&waiting(4, "a"), Duration::ZERO, MS);
    plan.add(&waiting(6, "a"), Duration::ZERO, MS);
    assert_eq!(sends(&mut plan, MS), [4]);
    plan.settle(4, applied(), MS);
    assert!(sends(&mut plan, MS).is_empty());
}

#[test]
fn without_a_network_one_save_at_a_time_tries_then_probes_then_nothing_is_lost() {
    let mut plan = plan(lanes(4), &["a", "b", "c", "d"]);
    assert_eq!(sends(&mut plan, MS), [1, 2, 3, 4]);
    assert_eq!(plan.settle(2, no_network(), MS).1, Turn::Same);
    assert_eq!(plan.next(MS), Step::Rest(None), "three are on their way and will bring news");
    for seq in [1, 3] {
        plan.settle(seq, applied(), MS);
    }
    assert_eq!(sends(&mut plan, MS), [2], "an answer clears the doubt");
    for (seq, turn) in [(4, Turn::Same), (2, Turn::Same)] {
        assert_eq!(plan.settle(seq, no_network(), MS).1, turn);
    }
    let Step::Rest(Some(until)) = plan.next(MS) else { panic!() };
    assert_eq!(sends(&mut plan, until), [2]);
    assert_eq!(plan.settle(2, no_network(), until).1, Turn::WentDown);
    let Step::Rest(Some(probe_at)) = plan.next(until) else { panic!() };
    assert!(plan.is_at_rest());
    assert_eq!(plan.next(probe_at), Step::Probe);
    assert!(!plan.is_at_rest());
    assert_eq!(plan.next(probe_at), Step::Rest(None), "the probe will bring news");
    assert_eq!(plan.probed(true, probe_at), Turn::CameUp);
    assert_eq!(sends(&mut plan, probe_at), [2, 4]);
}

#[test]
fn news_of_a_network_that_was_never_away_change_no_backoff() {
    let mut plan = plan(lanes(1), &["a"]);
    assert_eq!(sends(&mut plan, MS), [1]);
    let (Fate::Again { delay, .. }, _) = plan.settle(1, later(), MS) else { panic!() };
    for _ in 0..100 {
        plan.hint_network(MS);
        assert_eq!(plan.next(MS), Step::Rest(Some(MS + delay)));
    }
    assert_eq!(sends(&mut plan, MS + delay), [1]);
}

#[test]
fn whatever_holds_it_back_rests_until_news_and_then_goes_on() {
    let hold: [fn(&mut Holds) -> &mut bool; 4] = [
        |holds| &mut holds.offline,
        |holds| &mut holds.paused,
        |holds| &mut holds.stopping,
        |holds| &mut holds.unauthorized,
    ];
    for hold in hold {
        let mut plan = plan(lanes(1), &["a"]);
        *hold(&mut plan.holds) = true;
        assert_eq!(plan.next(MS), Step::Rest(None));
        assert!(plan.is_at_rest());
        *hold(&mut plan.holds) = false;
        assert_eq!(sends(&mut plan, MS), [1]);
    }
}

#[test]
fn a_server_that_does_not_know_us_holds_everything_and_counts_nothing() {
    let mut plan = plan(lanes(4), &["a", "b"]);
    assert_eq!(sends(&mut plan, MS), [1, 2]);
    assert!(matches!(plan.settle(1, Verdict::NotAuthorized { status: 401 }, MS).0, Fate::Unsent { .. }));
    plan.settle(2, applied(), MS);
    assert!(plan.holds.unauthorized);
    assert_eq!(plan.next(MS), Step::Rest(None));
    plan.holds.unauthorized = false;
    assert_eq!(sends(&mut plan, MS), [1]);
    assert!(matches!(plan.settle(1, later(), MS).0, Fate::Again { attempts: 1, .. }));
}

#[test]
fn a_save_that_somebody_took_away_frees_its_line() {
    let mut plan = plan(lanes(1), &["a", "a"]);
    assert_eq!(sends(&mut plan, MS), [1]);
    plan.vanished(1);
    assert_eq!(sends(&mut plan, MS), [2]);
    assert!(matches!(plan.damaged(2), Some(Fate::Dead { status: None, .. })));
    assert_eq!(plan.damaged(2), None);
    assert_eq!(plan.in_flight(), 0);
}

#[test]
fn what_is_on_its_way_stays_so_when_the_rest_is_told_anew() {
    let mut plan = plan(lanes(4), &["a", "a", "b"]);
    assert_eq!(sends(&mut plan, MS), [1, 3]);
    plan.forget_waiting();
    for (seq, key) in [(1, "a"), (2, "a"), (3, "b")] {
        plan.add(&waiting(seq, key), Duration::ZERO, MS);
    }
    assert!(sends(&mut plan, MS).is_empty());
    plan.settle(1, applied(), MS);
    assert_eq!(sends(&mut plan, MS), [2]);
}

#[test]
fn a_rest_of_an_earlier_run_is_kept_but_never_longer_than_the_longest() {
    let mut plan = plan(lanes(4), &[]);
    plan.add(&waiting(1, "a"), Duration::from_secs(7), MS);
    plan.add(&waiting(2, "b"), Duration::from_secs(4_000), MS);
    assert_eq!(plan.next(MS), Step::Rest(Some(MS + Duration::from_secs(7))));
    assert_eq!(sends(&mut plan, MS + Duration::from_secs(7)), [1]);
    plan.settle(1, applied(), MS);
    assert_eq!(plan.next(MS), Step::Rest(Some(MS + Policy::default().longest_delay)));
}

/// Whatever replies come, in whatever order: each key's saves are applied in order and once, everything ends as sent or
/// dead, and the plan never rests for ever while something waits.
#[test]
fn in_any_run_everything_ends_once_and_in_order() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let policy = Policy { lanes: rng.usize(1..=4), max_attempts: 5, ..Policy::default() };
        let mut plan = Plan::new(policy, rng.fork());
        let (mut now, mut next_seq) = (MS, 1);
        let mut flying: BTreeMap<Seq, String> = BTreeMap::new();
        let mut ended: BTreeMap<String, Vec<Seq>> = BTreeMap::new();
        let mut left: BTreeSet<Seq> = BTreeSet::new();
        let mut keys = BTreeMap::new();
        loop {
            if next_seq <= 60 && rng.u8(0..3) == 0 {
                let key = format!("key {}", rng.u8(0..6));
                plan.add(&waiting(next_seq, &key), Duration::ZERO, now);
                left.insert(next_seq);
                keys.insert(next_seq, key);
                next_seq += 1;
                continue;
            }
            match plan.next(now) {
                Step::Send(seq) => {
                    let key: &String = &keys[&seq];
                    assert!(!flying.values().any(|other| other == key), "two of {key} at a time");
                    flying.insert(seq, key.clone());
                    assert!(flying.len() <= policy.lanes);
                    continue;
                }
                Step::Probe => {
                    plan.probed(rng.bool(), now);
                    continue;
                }
                Step::Rest(Some(until)) if flying.is_empty() => now = now.max(until),
                Step::Rest(None) if flying.is_empty() && next_seq > 60 => break,
                Step::Rest(_) => {}
            }
            now += MS;
            if let Some(seq) = rng.choice(flying.keys().copied().collect::<Vec<_>>()) {
                let key = flying.remove(&seq).unwrap();
                let verdict = rng.choice([applied(), applied(), later(), no_network(), refused()]).unwrap();
                if matches!(plan.settle(seq, verdict, now).0, Fate::Sent { .. } | Fate::Dead { .. }) {
                    assert!(left.remove(&seq));
                    ended.entry(key).or_default().push(seq);
                }
            }
        }
        assert_eq!((left, plan.in_flight()), (BTreeSet::new(), 0));
        assert!(ended.values().all(|seqs| seqs.is_sorted()));
    }
}
