//! How two values that wait for the same delivery become one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::collections::btree_map;
use std::collections::hash_map;
use std::hash::BuildHasher;
use std::hash::Hash;

/// A value that takes in another one, so that many merges make one delivery.
///
/// [`Source::merging`](crate::source::Source::merging) delivers such values. Values are merged in the order in which they
/// arrive, the later one into the earlier one; no particular law has to hold.
///
/// # Examples
///
/// The span of all samples since the last delivery:
///
/// ```
/// use concourse::source::Merge;
///
/// struct Span { low: f64, high: f64 }
///
/// impl Merge for Span {
///     fn merge(&mut self, later: Self) {
///         self.low = self.low.min(later.low);
///         self.high = self.high.max(later.high);
///     }
/// }
///
/// let mut span = Span { low: 3.0, high: 3.0 };
/// span.merge(Span { low: 1.0, high: 1.0 });
/// assert_eq!((span.low, span.high), (1.0, 3.0));
/// ```
///
/// Whatever merges field by field needs no type of its own. A tuple merges its parts, and a map the values of equal keys:
///
/// ```
/// use concourse::source::{Last, Max, Merge};
/// use std::collections::BTreeMap;
///
/// let mut seen = BTreeMap::from([("a", (Max(1), Last("first")))]);
/// seen.merge(BTreeMap::from([("a", (Max(0), Last("second"))), ("b", (Max(7), Last("third")))]));
/// assert_eq!(seen["a"], (Max(1), Last("second")));
/// assert_eq!(seen.len(), 2);
/// ```
pub trait Merge {
    /// Takes in a value that came later.
    ///
    /// Called under the source's lock: it should be short, and must not touch the source. If it panics, the merge that
    /// called it panics, and what is left in `self` stays pending.
    fn merge(&mut self, later: Self);
}

/// Keeps the greatest value. Of equal ones, the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Max<T>(pub T);

impl<T: Ord> Merge for Max<T> {
    fn merge(&mut self, later: Self) {
        if later.0 > self.0 {
            *self = later;
        }
    }
}

/// Keeps the least value. Of equal ones, the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Min<T>(pub T);

impl<T: Ord> Merge for Min<T> {
    fn merge(&mut self, later: Self) {
        if later.0 < self.0 {
            *self = later;
        }
    }
}

/// Keeps the latest value: the part of a tuple or a map that is replaced. A source of nothing else is
/// [`Source::replace`](crate::source::Source::replace).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Last<T>(pub T);

impl<T> Merge for Last<T> {
    fn merge(&mut self, later: Self) {
        *self = later;
    }
}

/// Says only that something happened.
impl Merge for () {
    fn merge(&mut self, (): Self) {}
}

impl<A: Merge, B: Merge> Merge for (A, B) {
    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
        self.1.merge(later.1);
    }
}

impl<A: Merge, B: Merge, C: Merge> Merge for (A, B, C) {
    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
        self.1.merge(later.1);
        self.2.merge(later.2);
    }
}

/// Keeps everything, in order. Nothing bounds its length but the deliveries.
impl<T> Merge for Vec<T> {
    fn merge(&mut self, mut later: Self) {
        self.append(&mut later);
    }
}

/// Keeps everything, in order. Nothing bounds its length but the deliveries.
impl<T> Merge for VecDeque<T> {
    fn merge(&mut self, mut later: Self) {
        self.append(&mut later);
    }
}

/// Keeps one of each.
impl<T: Ord> Merge for BTreeSet<T> {
    fn merge(&mut self, mut later: Self) {
        self.append(&mut later);
    }
}

/// Keeps one of each.
impl<T: Eq + Hash, S: BuildHasher> Merge for HashSet<T, S> {
    fn merge(&mut self, later: Self) {
        self.extend(later);
    }
}

/// Merges the values of equal keys.
impl<K: Ord, V: Merge> Merge for BTreeMap<K, V> {
    fn merge(&mut self, later: Self) {
        for (key, value) in later {
            match self.entry(key) {
                btree_map::Entry::Occupied(mut earlier) => earlier.get_mut().merge(value),
                btree_map::Entry::Vacant(place) => drop(place.insert(value)),
            }
        }
    }
}

/// Merges the values of equal keys.
impl<K: Eq + Hash, V: Merge, S: BuildHasher> Merge for HashMap<K, V, S> {
    fn merge(&mut self, later: Self) {
        for (key, value) in later {
            match self.entry(key) {
                hash_map::Entry::Occupied(mut earlier) => earlier.get_mut().merge(value),
                hash_map::Entry::Vacant(place) => drop(place.insert(value)),
            }
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    fn merged<M: Merge>(values: impl IntoIterator<Item = M>) -> M {
        values
            .into_iter()
            .reduce(|mut earlier, later| {
                earlier.merge(later);
                earlier
            })
            .expect("at least one value")
    }

    #[test]
    fn max_and_min_keep_the_extremes_and_last_the_latest() {
        assert_eq!(merged([3, 9, 1].map(Max)), Max(9));
        assert_eq!(merged([3, 9, 1].map(Min)), Min(1));
        assert_eq!(merged([3, 9, 1].map(Last)), Last(1));
    }

    #[test]
    fn of_equal_extremes_the_first_stays() {
        #[derive(Debug)]
        struct Named(u8, &'static str);
        impl PartialEq for Named {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }
        impl Eq for Named {}
        impl PartialOrd for Named {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for Named {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.cmp(&other.0)
            }
        }
        assert_eq!(merged([Max(Named(1, "first")), Max(Named(1, "second"))]).0.1, "first");
        assert_eq!(merged([Min(Named(1, "first")), Min(Named(1, "second"))]).0.1, "first");
    }

    #[test]
    fn collections_keep_all_values_or_one_of_each() {
        assert_eq!(merged([vec![1, 2], vec![], vec![1]]), [1, 2, 1]);
        assert_eq!(merged([VecDeque::from([1]), VecDeque::from([2])]), [1, 2]);
        assert_eq!(merged([BTreeSet::from([1, 2]), BTreeSet::from([2, 3])]), BTreeSet::from([1, 2, 3]));
        assert_eq!(merged([HashSet::from([1, 2]), HashSet::from([2, 3])]), HashSet::from([1, 2, 3]));
    }

    #[test]
    fn maps_and_tuples_merge_part_by_part() {
        let of = |key, value| HashMap::from([(key, (Max(value), vec![value], ()))]);
        let all = merged([of('a', 1), of('b', 5), of('a', 3), of('a', 2)]);
        assert_eq!(all, HashMap::from([('a', (Max(3), vec![1, 3, 2], ())), ('b', (Max(5), vec![5], ()))]));
        let of = |key, value| BTreeMap::from([(key, (Min(value), Last(value)))]);
        assert_eq!(merged([of('a', 1), of('a', 2)]), BTreeMap::from([('a', (Min(1), Last(2)))]));
    }
}
