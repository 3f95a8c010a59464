use super::Expired;
use super::GRAIN;
use super::KEPT;
use super::Key;
use super::NEVER;
use super::RINGS;
use super::Wakeup;
use super::Wheel;
use super::shift;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const CENTURY: u64 = 100 * 365 * 24 * HOUR;

/// A deterministic source of numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A length of any magnitude, often next to the width of a slot.
    fn length(&mut self) -> u64 {
        let width = 1_u64 << self.below(63);
        match self.below(3) {
            0 => width.saturating_add(self.below(5)).saturating_sub(2),
            1 => self.below(width) + 1,
            _ => (self.below(300) << shift(self.below(5) as usize)) + self.below(3),
        }
    }
}

fn expire_all<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<Expired<T>> {
    let mut all = Vec::new();
    loop {
        let before = all.len();
        wheel.expire(now, &mut all);
        if all.len() == before {
            return all;
        }
    }
}

fn payloads<T>(expired: Vec<Expired<T>>) -> Vec<T> {
    expired.into_iter().map(|expired| expired.payload).collect()
}

/// The obvious timer structure: everything in one sorted map.
#[derive(Default)]
struct Oracle {
    armed: BTreeMap<(u64, u64), (u64, Key)>,
    count: u64,
}

impl Oracle {
    fn arm(&mut self, wheel: &mut Wheel<u64>, due: u64, leeway: u64) {
        self.count += 1;
        let key = wheel.arm(due, leeway, self.count);
        self.armed.insert((due, self.count), (due.saturating_add(leeway), key));
    }

    fn expire(&mut self, now: u64) -> Vec<(u64, u64)> {
        let later = self.armed.split_off(&(now + 1, 0));
        std::mem::replace(&mut self.armed, later).into_keys().collect()
    }

    fn first_due(&self) -> u64 {
        self.armed.first_key_value().map_or(NEVER, |(&(due, _), _)| due)
    }

    fn limit(&self) -> u64 {
        self.armed.values().map(|&(late, _)| late).min().unwrap_or(NEVER)
    }
}

#[test]
fn the_wheel_agrees_with_a_sorted_map() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let (mut wheel, mut oracle) = (Wheel::new(), Oracle::default());
        let mut now = random.length();
        let mut dead = Vec::new();
        for _ in 0..4_000 {
            match random.below(16) {
                0..8 => {
                    let due = match random.below(16) {
                        0 => NEVER,
                        1 => now.saturating_sub(random.length()),
                        2 => now,
                        // Equal deadlines.
                        3 if oracle.first_due() != NEVER => oracle.first_due(),
                        _ => now.saturating_add(random.length()),
                    };
                    let leeway = if random.below(2) == 0 { 0 } else { random.length() };
                    oracle.arm(&mut wheel, due, leeway);
                }
                8..12 => {
                    let nth = random.below(oracle.armed.len() as u64 + 1) as usize;
                    if let Some((&name, &(_, key))) = oracle.armed.iter().nth(nth) {
                        oracle.armed.remove(&name);
                        assert_eq!(wheel.cancel(key), Some(name.1));
                        dead.push(key);
                    }
                }
                12 => now = now.saturating_sub(random.length()),
                13 => {
                    now = now.saturating_add(random.length()).min(NEVER - 2);
                    wheel.advance(now);
                }
                _ => {
                    now = match wheel.next_wakeup() {
                        Some(wakeup) if random.below(2) == 0 => wakeup.at,
                        _ => now.saturating_add(random.length()).min(NEVER - 2),
                    };
                    let fired = expire_all(&mut wheel, now);
                    let expected = oracle.expire(now);
                    assert_eq!(fired.into_iter().map(|e| (e.due, e.payload)).collect::<Vec<_>>(), expected);
                }
            }
            assert_eq!(wheel.len(), oracle.armed.len());
            match wheel.next_wakeup() {
                Some(Wakeup { at, limit }) => {
                    assert!(at <= limit && limit <= oracle.limit().min(NEVER - 1), "somebody would be too late");
                }
                None => assert_eq!(oracle.first_due(), NEVER, "somebody would be forgotten"),
            }
        }
        assert!(dead.into_iter().all(|key| wheel.cancel(key).is_none()));
        let left: Vec<_> = wheel.drain().into_iter().map(|e| (e.due, e.payload)).collect();
        assert_eq!(left, oracle.armed.into_keys().collect::<Vec<_>>());
        assert_eq!(wheel.len(), 0);
    }
}

#[test]
fn without_cancellation_every_wakeup_is_for_somebody_and_the_best_one() {
    for seed in 100..130 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let (mut wheel, mut oracle) = (Wheel::new(), Oracle::default());
        let start = random.length();
        wheel.advance(start);
        for _ in 0..60 {
            let leeway = random.length();
            oracle.arm(&mut wheel, start.saturating_add(random.length()).min(NEVER - 1), leeway);
        }
        while let Some(Wakeup { at, limit }) = wheel.next_wakeup() {
            assert_eq!(limit, oracle.limit().min(NEVER - 1));
            let (&(last_due, _), _) =
                oracle.armed.range(..=(limit, u64::MAX)).next_back().expect("the limit is somebody's");
            assert_eq!(
                at, last_due,
                "waking up serves everybody whom the limit would serve, and not later than needed"
            );
            let fired = expire_all(&mut wheel, at);
            assert_eq!(fired.into_iter().map(|e| (e.due, e.payload)).collect::<Vec<_>>(), oracle.expire(at));
        }
        assert!(oracle.armed.is_empty());
    }
}

#[test]
fn a_cancelled_timer_costs_at_most_one_look() {
    let mut random = Random(7);
    let mut wheel = Wheel::new();
    let keys: Vec<_> = (0..2_000).map(|n| wheel.arm(random.below(HOUR), 0, n)).collect();
    let cancelled = keys.iter().step_by(2).filter_map(|&key| wheel.cancel(key)).count();
    let (mut fired, mut in_vain) = (0, 0);
    while let Some(wakeup) = wheel.next_wakeup() {
        let served = expire_all(&mut wheel, wakeup.at).len();
        fired += served;
        in_vain += usize::from(served == 0);
    }
    assert_eq!((cancelled, fired), (1_000, 1_000));
    assert!(in_vain <= cancelled, "{in_vain} looks in vain");
}

#[test]
fn deadlines_are_exact_on_both_sides_of_every_slots_edge() {
    for ring in 0..RINGS {
        let width = 1_u64 << shift(ring);
        for present in [0, 1, GRAIN - 1, GRAIN, width - 1, width, 5 * HOUR + 12_345] {
            for slots in [1, 2, 127, 255, 256, 257] {
                let Some(edge) = width.checked_mul(slots).and_then(|distance| distance.checked_add(present)) else {
                    continue;
                };
                for due in [edge - 1, edge, edge.saturating_add(1)].into_iter().filter(|&due| due < NEVER - 1) {
                    let mut wheel = Wheel::new();
                    wheel.advance(present);
                    wheel.arm(due, 0, ());
                    assert_eq!(wheel.next_wakeup(), Some(Wakeup { at: due, limit: due }));
                    // Half of the way first, so that it lies in another ring when its time comes.
                    let half = present + (due - present) / 2;
                    for early in [half, due - 1].into_iter().filter(|&early| early < due) {
                        assert!(expire_all(&mut wheel, early).is_empty(), "{due} came at {early}");
                    }
                    assert_eq!(expire_all(&mut wheel, due).len(), 1, "{due} did not come");
                    assert_eq!(wheel.next_wakeup(), None);
                }
            }
        }
    }
}

#[test]
fn deadlines_from_microseconds_to_centuries_come_in_order() {
    let dues = [5_000, GRAIN, 20_000_000, SECOND, HOUR, 24 * HOUR, CENTURY, 5 * CENTURY, NEVER - 1];
    let mut wheel = Wheel::new();
    for (n, due) in dues.into_iter().enumerate().rev() {
        wheel.arm(due, 0, n);
    }
    let mut looks = 0;
    let mut order = Vec::new();
    while let Some(wakeup) = wheel.next_wakeup() {
        order.extend(payloads(expire_all(&mut wheel, wakeup.at)));
        looks += 1;
    }
    assert_eq!(order, (0..dues.len()).collect::<Vec<_>>());
    assert_eq!(looks, dues.len(), "moving between rings needs no wake-up of its own");
}

#[test]
fn never_does_not_come_but_can_be_cancelled() {
    let mut wheel = Wheel::new();
    let key = wheel.arm(NEVER, 0, 'a');
    wheel.arm(NEVER, NEVER, 'b');
    assert_eq!(wheel.next_wakeup(), None);
    assert!(expire_all(&mut wheel, NEVER).is_empty());
    assert_eq!(wheel.cancel(key), Some('a'));
    assert_eq!(payloads(wheel.drain()), ['b']);
}

#[test]
fn an_endless_leeway_does_not_postpone_for_ever() {
    let mut wheel = Wheel::new();
    wheel.arm(SECOND, NEVER, ());
    assert_eq!(wheel.next_wakeup(), Some(Wakeup { at: SECOND, limit: NEVER - 1 }));
}

#[test]
fn equal_deadlines_come_in_the_order_of_arming() {
    let due = 3 * HOUR + 17;
    let mut wheel = Wheel::new();
    for n in 0..1_000 {
        // Some are armed from afar and move down the rings, others from nearby.
        wheel.advance(n * (3 * HOUR / 1_000));
        wheel.arm(due, 0, n);
    }
    assert_eq!(payloads(expire_all(&mut wheel, due)), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn one_call_delivers_at_most_one_slots_width() {
    let mut wheel = Wheel::new();
    for n in 0..100 {
        wheel.arm(n * GRAIN / 4, 0, n);
    }
    let mut expired = Vec::new();
    wheel.expire(HOUR, &mut expired);
    assert_eq!(payloads(expired), [0, 1, 2, 3]);
}

#[test]
fn time_that_goes_back_delays_what_is_armed_and_keeps_its_order() {
    let mut wheel = Wheel::new();
    wheel.advance(CENTURY);
    wheel.arm(CENTURY + HOUR, 0, 2);
    assert!(expire_all(&mut wheel, CENTURY - 24 * HOUR).is_empty());
    wheel.arm(CENTURY - HOUR, 0, 1);
    wheel.arm(CENTURY + HOUR, 0, 3);
    assert_eq!(wheel.next_wakeup().map(|wakeup| wakeup.at), Some(CENTURY - HOUR));
    assert!(expire_all(&mut wheel, CENTURY - HOUR - 1).is_empty());
    assert_eq!(payloads(expire_all(&mut wheel, CENTURY - HOUR)), [1]);
    assert_eq!(payloads(expire_all(&mut wheel, CENTURY + HOUR)), [2, 3]);
}

#[test]
fn what_is_due_when_it_is_armed_comes_at_the_next_look() {
    let mut wheel = Wheel::new();
    wheel.advance(HOUR);
    wheel.arm(HOUR, 0, 'b');
    wheel.arm(1, 0, 'a');
    wheel.advance(HOUR + SECOND);
    assert_eq!(wheel.next_wakeup().map(|wakeup| wakeup.at), Some(1));
    assert_eq!(payloads(expire_all(&mut wheel, HOUR + SECOND)), ['a', 'b']);
}

#[test]
fn leeway_waits_for_company_and_only_for_company() {
    let mut wheel = Wheel::new();
    let ms = SECOND / 1_000;
    wheel.arm(100 * ms, 50 * ms, 'a');
    assert_eq!(wheel.next_wakeup().map(|wakeup| wakeup.at), Some(100 * ms), "alone, it is not late");
    let company = wheel.arm(120 * ms, 0, 'b');
    assert_eq!(wheel.next_wakeup(), Some(Wakeup { at: 120 * ms, limit: 120 * ms }));
    wheel.arm(149 * ms, 0, 'c');
    assert_eq!(wheel.next_wakeup().map(|wakeup| wakeup.at), Some(120 * ms), "b has no leeway");
    wheel.cancel(company);
    assert_eq!(payloads(expire_all(&mut wheel, 120 * ms)), ['a']);
    assert_eq!(wheel.next_wakeup().map(|wakeup| wakeup.at), Some(149 * ms));
}

#[test]
fn a_key_of_a_reused_place_names_nothing() {
    let mut wheel = Wheel::new();
    let old = wheel.arm(1, 0, 'a');
    assert_eq!(wheel.cancel(old), Some('a'));
    let new = wheel.arm(1, 0, 'b');
    assert_eq!(wheel.cancel(old), None);
    assert_eq!(payloads(wheel.drain()), ['b']);
    let newest = wheel.arm(1, 0, 'c');
    assert_eq!((wheel.cancel(old), wheel.cancel(new)), (None, None));
    assert_eq!(wheel.cancel(newest), Some('c'));
}

#[test]
fn a_burst_gives_its_memory_back() {
    let mut wheel = Wheel::new();
    let first = wheel.arm(0, 0, 0);
    for n in 1..10_000 {
        wheel.arm(n, 0, n);
    }
    assert_eq!(expire_all(&mut wheel, SECOND).len(), 10_000);
    assert!(wheel.entries.capacity() <= KEPT);
    wheel.arm(0, 0, 1);
    assert_eq!(wheel.cancel(first), None);
    assert_eq!(wheel.len(), 1);
}
