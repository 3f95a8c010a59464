//! The level that stalls lead to, on a clock that the test makes up: a stall keeps its level up for 10.

use super::Gauge;
use super::PressureLevels;
use crate::time::Nanos;
use std::time::Duration;

const NORMAL: PressureLevels = PressureLevels::NORMAL;
const WARN: PressureLevels = PressureLevels::WARN;
const CRITICAL: PressureLevels = PressureLevels::CRITICAL;

fn gauge() -> Gauge {
    Gauge::new(Duration::from_nanos(10))
}

/// What a gauge says to these stalls if it is looked at all the time, with when it says it.
fn changes(stalls: &[(u64, PressureLevels)]) -> Vec<(u64, PressureLevels)> {
    let mut gauge = gauge();
    let mut changes = Vec::new();
    for now in 0..100 {
        for (_, level) in stalls.iter().filter(|(at, _)| *at == now) {
            gauge.stall(*level, Nanos(now));
        }
        changes.extend(gauge.change(Nanos(now)).map(|level| (now, level)));
    }
    changes
}

#[test]
fn a_level_is_told_when_it_changes_and_falls_when_it_is_not_renewed() {
    assert_eq!(changes(&[]), []);
    assert_eq!(changes(&[(5, WARN)]), [(5, WARN), (15, NORMAL)]);
    assert_eq!(changes(&[(5, CRITICAL)]), [(5, CRITICAL), (15, NORMAL)]);
    assert_eq!(changes(&[(5, WARN), (14, WARN)]), [(5, WARN), (24, NORMAL)]);
    assert_eq!(changes(&[(5, WARN), (15, WARN)]), [(5, WARN), (25, NORMAL)]);
    assert_eq!(changes(&[(5, WARN), (16, WARN)]), [(5, WARN), (15, NORMAL), (16, WARN), (26, NORMAL)]);
}

#[test]
fn the_higher_level_counts_and_falls_to_the_lower_one() {
    assert_eq!(changes(&[(5, WARN), (5, CRITICAL)]), [(5, CRITICAL), (15, NORMAL)]);
    assert_eq!(changes(&[(5, WARN), (8, CRITICAL)]), [(5, WARN), (8, CRITICAL), (18, NORMAL)]);
    assert_eq!(changes(&[(5, CRITICAL), (8, WARN)]), [(5, CRITICAL), (15, WARN), (18, NORMAL)]);
    let renewed = [(5, WARN), (8, CRITICAL), (16, CRITICAL), (20, WARN)];
    assert_eq!(changes(&renewed), [(5, WARN), (8, CRITICAL), (26, WARN), (30, NORMAL)]);
}

#[test]
fn it_falls_when_it_says_and_not_before() {
    let mut gauge = gauge();
    assert_eq!(gauge.falls(), Nanos::FOREVER);
    gauge.stall(WARN, Nanos(100));
    gauge.stall(CRITICAL, Nanos(103));
    assert_eq!((gauge.change(Nanos(103)), gauge.falls()), (Some(CRITICAL), Nanos(113)));
    gauge.stall(WARN, Nanos(112));
    assert_eq!((gauge.change(Nanos(112)), gauge.falls()), (None, Nanos(113)));
    assert_eq!((gauge.change(Nanos(113)), gauge.falls()), (Some(WARN), Nanos(122)));
    assert_eq!((gauge.change(Nanos(121)), gauge.falls()), (None, Nanos(122)));
    assert_eq!((gauge.change(Nanos(122)), gauge.falls()), (Some(NORMAL), Nanos::FOREVER));
}

#[test]
fn what_happens_between_two_looks_is_one_change() {
    let mut gauge = gauge();
    gauge.stall(WARN, Nanos(1));
    gauge.stall(CRITICAL, Nanos(2));
    assert_eq!(gauge.change(Nanos(3)), Some(CRITICAL));
    assert_eq!(gauge.change(Nanos(50)), Some(NORMAL));
    gauge.stall(WARN, Nanos(60));
    assert_eq!(gauge.change(Nanos(80)), None, "it was up and has fallen");
}

#[test]
fn a_calm_without_end_never_falls() {
    let mut gauge = Gauge::new(Duration::MAX);
    gauge.stall(WARN, Nanos(1));
    assert_eq!(gauge.change(Nanos(u64::MAX - 1)), Some(WARN));
    assert_eq!(gauge.falls(), Nanos::FOREVER);
}

#[test]
fn levels_are_sets() {
    let both = NORMAL | CRITICAL;
    assert!(both.contains(NORMAL) && both.contains(CRITICAL) && both.contains(both));
    assert!(!both.contains(WARN) && !both.contains(WARN | NORMAL));
    assert_eq!(format!("{both:?} {WARN:?}"), "NORMAL | CRITICAL WARN");
}
