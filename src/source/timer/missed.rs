//! What becomes of times that nobody was called for in time.

/// What a timer does with times that pass while its handler cannot be called: because it still runs, its target is
/// busy, or either is suspended.
///
/// A timer with an interval of 10 ms is due at 0, 10, 20 and so on. Here its handler cannot be called between 12 and 47:
///
/// ```text
/// ms     0         10        20        30        40        50        60        70        80
/// due    |         |         |         |         |         |         |         |         |
///                    .......... not called .............
/// Count  1         1                                    3  1         1         1         1
/// Skip   1         1                                    1  1         1         1         1
/// Burst  1         1                                    1111         1         1         1
/// Delay  1         1                                    1         1         1         1
/// ```
///
/// | policy | calls | what the handler is given | the next time |
/// |---|---|---|---|
/// | `Count` | one | the number of times | keeps the phase |
/// | `Skip` | one | 1 | keeps the phase |
/// | `Burst` | one for each time | 1 | keeps the phase |
/// | `Delay` | one | 1 | an interval after the call |
///
/// `Skip`, `Burst` and `Delay` mean what they do in tokio's `MissedTickBehavior`. `Count` is what libdispatch does: the
/// only one that costs one call and loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missed {
    /// One call, with the number of times that have come.
    #[default]
    Count,
    /// One call for all of them, which is not told how many they were.
    Skip,
    /// One call for each, one after the other, until the timer has caught up. Each call has its turn at the tail of the
    /// target queue. After a long suspension of a timer with a short interval these are many.
    Burst,
    /// One call, from which the next time is counted: two calls are never closer than the interval.
    Delay,
}
