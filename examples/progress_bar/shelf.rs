//! Puts results back into the order of the listing.

use std::collections::BTreeMap;

/// Results wait here until all of those before them have come.
///
/// What may wait is bounded by whoever hands out the numbers: a number must not be given before a place is free.
pub(crate) struct Shelf<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Shelf<T> {
    pub(crate) fn new() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }

    /// Puts the result of number `number` in its place. Each number comes once.
    pub(crate) fn put(&mut self, number: u64, result: T) {
        let before = self.waiting.insert(number, result);
        debug_assert!(before.is_none(), "number {number} came twice");
    }

    /// Takes what can go out now, in order.
    pub(crate) fn take_ready(&mut self) -> Vec<T> {
        let mut ready = Vec::new();
        while let Some(result) = self.waiting.remove(&self.next) {
            ready.push(result);
            self.next += 1;
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_leave_in_the_order_of_their_numbers() {
        let mut shelf = Shelf::new();
        let mut left = Vec::new();
        for number in [2, 0, 1, 5, 4, 3, 6] {
            shelf.put(number, number);
            left.push(shelf.take_ready());
        }
        assert_eq!(left, [vec![], vec![0], vec![1, 2], vec![], vec![], vec![3, 4, 5], vec![6]]);
    }
}
