//! What a line of `/proc/PID/stat` comes to.

use super::CpuTimes;
use std::time::Duration;

/// A line with this name and these four times, in ticks.
fn line(name: &[u8], times: &str) -> Vec<u8> {
    let fields =
        format!(") Z 22808 22808 9279 0 -1 4194304 101 102 103 104 {times} 20 0 1 0 3458140 0 0 184467440737\n");
    [b"22816 (", name, fields.as_bytes()].concat()
}

fn parse(name: &[u8], times: &str) -> Option<(u64, u64)> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    CpuTimes::parse(&line(name, times), 100).map(|times| (millis(times.user), millis(times.system)))
}

#[test]
fn times_are_those_of_the_process_and_of_the_descendants_it_waited_for() {
    assert_eq!(parse(b"cat", "0 0 0 0"), Some((0, 0)));
    assert_eq!(parse(b"cat", "1 20 300 4000"), Some((3_010, 40_200)));
}

#[test]
fn a_programs_name_may_look_like_anything() {
    let names: [&[u8]; 7] = [b"", b" ", b"a b c", b"(", b")", b") Z 1 1 1 1 1 1 1 1 1 1 9 9 9 9 (", b"\xff\n) \xf0("];
    for name in names {
        assert_eq!(parse(name, "1 2 3 4"), Some((40, 60)), "{name:?}");
    }
}

#[test]
fn what_is_no_such_line_has_no_times() {
    for times in ["-1 2 3 4", "x 2 3 4", "1 2 3 18446744073709551616", "1 2 3 4.5"] {
        assert_eq!(parse(b"cat", times), None, "{times}");
    }
    let whole = line(b"cat", "1 2 3 4");
    let end_of_times = whole.windows(8).position(|part| part == b" 1 2 3 4").unwrap() + 8;
    for end in 0..end_of_times {
        assert_eq!(CpuTimes::parse(&whole[..end], 100), None, "cut at {end}");
    }
    assert!(CpuTimes::parse(&whole[..end_of_times], 100).is_some());
}

#[test]
fn ticks_may_be_of_any_length_and_no_count_overflows() {
    let seconds = |ticks_per_second| CpuTimes::parse(&line(b"cat", "3 0 0 0"), ticks_per_second).unwrap().user;
    assert_eq!(seconds(100), Duration::from_millis(30));
    assert_eq!(seconds(1024), Duration::from_nanos(2_929_687));
    assert_eq!(seconds(0), Duration::from_secs(3), "a system without an answer");
    let most = u64::MAX;
    let times = CpuTimes::parse(&line(b"cat", &format!("{most} 1 {most} {most}")), 100).unwrap();
    assert_eq!(times.user, Duration::from_nanos(u64::MAX));
}
