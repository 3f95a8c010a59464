//! What arrives of what is merged.

use super::Log;
use super::queue::Stepped;
use super::unwind;
use crate::queue::Dispatch;
use crate::source::Add;
use crate::source::Max;
use crate::source::Merge;
use crate::source::Mergeable;
use crate::source::Source;
use crate::source::SourceBuilder;

/// Activates a source that logs its values.
fn logging<K: Mergeable>(builder: SourceBuilder<K>) -> (Source<K>, Log<K::Value>)
where
    K::Value: Send,
{
    let log = Log::new();
    let handler = log.clone();
    (builder.on_event(move |value| handler.push(value)).activate(), log)
}

#[test]
fn a_source_without_merges_does_nothing_at_all() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::add(&queue));
    source.suspend().unwrap();
    source.resume().unwrap();
    assert_eq!(queue.len(), 0);
    log.expect_nothing();
}

#[test]
fn merges_fold_into_one_delivery_and_the_sum_starts_again() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::add(&queue));
    for n in 1..=4 {
        source.merge(n);
    }
    assert_eq!(queue.len(), 1);
    queue.run();
    log.expect([10]);
    source.merge(7);
    queue.run();
    log.expect([7]);
    assert_eq!(queue.run(), 0);
}

#[test]
fn merging_zero_is_not_an_event_for_sums_and_bits() {
    let queue = Stepped::new();
    let (sum, sums) = logging(Source::add(&queue));
    let (or, bits) = logging(Source::or(&queue));
    sum.merge(0);
    or.merge(0);
    assert_eq!(queue.len(), 0);
    sum.merge(2);
    sum.merge(0);
    or.merge(4);
    or.merge(0);
    queue.run();
    sums.expect([2]);
    bits.expect([4]);
}

#[test]
fn a_sum_saturates_at_the_limit_and_says_so() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::add(&queue));
    source.merge(Add::LIMIT - 1);
    queue.run();
    source.merge(Add::LIMIT - 1);
    source.merge(1);
    queue.run();
    source.merge(u64::MAX);
    source.merge(u64::MAX);
    queue.run();
    log.expect([Add::LIMIT - 1, Add::LIMIT, Add::LIMIT]);
    source.merge(3);
    queue.run();
    log.expect([3]);
}

#[test]
fn bits_accumulate_and_start_again() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::or(&queue));
    for bits in [1, 2, 2, 4] {
        source.merge(bits);
    }
    queue.run();
    source.merge(1 << 63);
    queue.run();
    log.expect([7, 1 << 63]);
}

#[test]
fn replace_delivers_the_latest_and_zero_like_any_other() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::replace::<u64>(&queue));
    source.merge(3);
    source.merge(0);
    queue.run();
    source.merge(0);
    queue.run();
    source.merge(5);
    queue.run();
    log.expect([0, 0, 5]);
}

#[test]
fn clear_withdraws_what_is_not_delivered_and_nothing_else() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::replace::<&'static str>(&queue));
    source.merge("withdrawn");
    assert_eq!(source.clear(), Some("withdrawn"));
    assert_eq!(source.handle().clear(), None);
    queue.run();
    log.expect_nothing();
    source.merge("delivered");
    queue.run();
    assert_eq!(source.clear(), None);
    log.expect(["delivered"]);
}

#[test]
fn own_values_are_folded_in_the_order_of_their_arrival() {
    let queue = Stepped::new();
    let (lists, log) = logging(Source::merging::<Vec<u8>>(&queue));
    let (peaks, peak) = logging(Source::merging::<(Max<i32>, Max<u8>)>(&queue));
    for n in [3, 1, 2] {
        lists.merge(vec![n]);
        peaks.merge((Max(-i32::from(n)), Max(n)));
    }
    queue.run();
    log.expect([vec![3, 1, 2]]);
    peak.expect([(Max(-1), Max(3))]);
    lists.merge(vec![]);
    queue.run();
    log.expect([Vec::<u8>::new()]);
}

#[test]
fn a_merge_rule_that_panics_leaves_the_source_usable() {
    struct Picky(Vec<u8>);
    impl Merge for Picky {
        fn merge(&mut self, later: Self) {
            if later.0 == [13] {
                unwind("not this one");
            }
            self.0.extend(later.0);
        }
    }
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let source = Source::merging::<Picky>(&queue).on_event(move |Picky(values)| handler.push(values)).activate();
    source.merge(Picky(vec![1]));
    let refused = crate::job::contain(|| source.merge(Picky(vec![13]))).unwrap_err();
    assert_eq!(refused.message(), "not this one");
    source.merge(Picky(vec![2]));
    queue.run();
    log.expect([vec![1, 2]]);
}

#[test]
fn merges_before_the_activation_arrive_with_the_first_delivery() {
    let queue = Stepped::new();
    let builder = Source::add(&queue);
    let handle = builder.handle();
    assert!(handle.merge(5));
    let (source, log) = logging(builder);
    assert!(handle.merge(6));
    queue.run();
    log.expect([11]);
    drop(source);
}

#[test]
fn merges_from_the_handler_make_one_later_delivery_each_round() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let source = Source::add(&queue)
        .on_event_with(move |source, n| {
            handler.push(n);
            if n < 16 {
                source.merge(n);
                source.merge(n);
            }
        })
        .activate();
    source.merge(1);
    assert_eq!(queue.run(), 5);
    log.expect([1, 2, 4, 8, 16]);
}

#[test]
fn a_source_goes_behind_what_its_target_has_to_do_before_it_delivers_again() {
    let queue = Stepped::new();
    let log = Log::new();
    let (handler, between) = (log.clone(), log.clone());
    let target = queue.clone();
    let source = Source::add(&queue)
        .on_event_with(move |source, n| {
            handler.push(n);
            if n == 1 {
                source.merge(2);
                let between = between.clone();
                target.exec_async(move || between.push(99));
            }
        })
        .activate();
    source.merge(1);
    queue.run();
    log.expect([1, 99, 2]);
}

#[test]
fn merges_while_suspended_arrive_in_one_delivery_after_the_resume() {
    let queue = Stepped::new();
    let (source, log) = logging(Source::add(&queue));
    source.merge(1);
    source.suspend().unwrap();
    queue.run();
    for _ in 0..1_000 {
        source.merge(1);
        assert_eq!(queue.len(), 0, "a suspended source keeps out of its queue");
    }
    source.resume().unwrap();
    assert_eq!(queue.run(), 1);
    log.expect([1_001]);
}

#[test]
fn a_source_without_a_handler_takes_what_is_merged() {
    let queue = Stepped::new();
    let source = Source::add(&queue).activate();
    source.merge(1);
    assert_eq!(queue.run(), 1);
    source.merge(1);
    assert_eq!(queue.run(), 1);
}
