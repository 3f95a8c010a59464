//! Who depends on an operation that has not ended.

use super::Need;
use super::Record;
use crate::sync::Arc;

/// Stands under the operation's lock. At most every other one of them is over, so that what many short operations depend on
/// does not keep them all.
#[derive(Default)]
pub(super) struct Dependents {
    /// In the order in which they came.
    list: Vec<(Arc<Record>, Need)>,
    /// How many have left since the list was last looked through.
    left: usize,
}

impl Dependents {
    /// Enters one, unless it is over. Then it has left before it came.
    pub(super) fn join(&mut self, dependent: &Arc<Record>, need: Need) {
        if dependent.ended().is_none() {
            self.list.push((Arc::clone(dependent), need));
        }
    }

    /// One of them is over. Gives those that are to be dropped, without the lock: what they keep may be the user's.
    #[must_use]
    pub(super) fn leave(&mut self) -> Vec<(Arc<Record>, Need)> {
        self.left += 1;
        if self.left <= self.list.len() / 2 {
            return Vec::new();
        }
        self.left = 0;
        self.list.extract_if(.., |(dependent, _)| dependent.ended().is_some()).collect()
    }

    /// All of them, who are told.
    pub(super) fn into_list(self) -> Vec<(Arc<Record>, Need)> {
        self.list
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use crate::CancelToken;
    use crate::Operation;
    use crate::OperationQueue;
    use crate::Runtime;
    use crate::sync::Arc;

    /// How many are kept as dependents.
    fn kept<T>(operation: &Operation<T>) -> usize {
        operation.record.place.lock().dependents.list.len()
    }

    #[test]
    fn an_operation_keeps_none_of_a_hundred_thousand_dependents_that_were_cancelled_one_after_another() {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let ops = OperationQueue::builder("short").on(&runtime).max_concurrent(0).build();
        let long = ops.operation("long").run(|| ());
        for _ in 0..100_000 {
            let short = ops.operation("short").after(&long).after_end_of(&long).run(|| ());
            assert_eq!(kept(&long), 2);
            let record = Arc::downgrade(&short.record);
            short.cancel();
            drop(short);
            assert_eq!((kept(&long), record.strong_count()), (0, 0));
        }
    }

    #[test]
    fn of_many_dependents_no_more_are_over_than_wait_and_those_are_told_in_their_order() {
        const EACH: usize = 1_000;
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let ops = OperationQueue::builder("short").on(&runtime).max_concurrent(0).build();
        let long = ops.operation("long").run(|| ());
        let (told, order) = std::sync::mpsc::channel();
        let operation = |number: usize| {
            let told = told.clone();
            ops.operation("short").after(&long).run(move || told.send(number).unwrap())
        };
        let all: Vec<_> = (0..2 * EACH).map(operation).collect();
        for (cancelled, operation) in all.iter().step_by(2).enumerate() {
            operation.cancel();
            let waiting = 2 * EACH - (cancelled + 1);
            assert!((waiting..=2 * waiting).contains(&kept(&long)), "{} for {waiting}", kept(&long));
        }
        ops.set_max_concurrent(1);
        ops.wait_until_finished().unwrap();
        assert!(order.try_iter().eq((1..2 * EACH).step_by(2)));
    }

    #[test]
    fn what_is_over_before_it_is_entered_is_not_kept() {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let ops = OperationQueue::builder("late").on(&runtime).max_concurrent(0).build();
        let (long, request) = (ops.operation("long").run(|| ()), CancelToken::new());
        request.cancel();
        for _ in 0..100 {
            assert!(ops.operation("late").after(&long).under(&request).run(|| ()).is_over());
        }
        assert_eq!(kept(&long), 0);
    }
}
