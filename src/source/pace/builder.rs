//! How a source is given a pace.

use super::Rule;
use crate::error::PaceError;
use crate::source::Mergeable;
use crate::source::Pending;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::sync::Arc;
use crate::sync::is_child;
use std::marker::PhantomData;
use std::time::Duration;

/// At which end of a period a paced source calls its handler: see [`SourceBuilder::throttle`] and
/// [`SourceBuilder::debounce`].
///
/// No edge drops anything. What has not had its call yet stays merged with what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// At the beginning, with the event that begins it. What comes during the period waits for the next event after it,
    /// however late that is, unless [`max_delay`](SourceBuilder::max_delay) bounds the wait. Only what the program merges
    /// waits so; every other kind of source has the call at the end of the period, as with `Both`.
    Leading,
    /// At the end, with everything that came.
    Trailing,
    /// At the beginning, and at the end if anything came in between.
    Both,
}

/// A source that calls its handler as soon as its queue gets there: what a [`SourceBuilder`] describes at first.
#[derive(Debug)]
pub enum Unpaced {}

/// A source with a pace, which needs a clock: see [`SourceBuilder::throttle`] and [`SourceBuilder::debounce`].
#[derive(Debug)]
pub enum Paced {}

impl<K: Pending> SourceBuilder<K> {
    /// Calls the handler at most once in every `period`, with everything since its last call.
    ///
    /// An event that finds no period running is delivered at once. Each call begins a period, and what comes before its
    /// end is delivered then, in one call. So nothing is held back while events are rare, and the last of many is
    /// never late by more than a period. These are the calls for six events, with a period of 10, each with how many of
    /// them it delivers:
    ///
    /// ```text
    /// time       0         10        20        30        40
    /// events     * * *   *    *                    *
    /// Both       1         3         1             1
    /// Leading    1            4                    1
    /// Trailing             4         1                       1
    /// ```
    ///
    /// `Both` is what a throttled source does unless it is given another [`edge`](SourceBuilder::edge). With
    /// [`Edge::Leading`] what comes in a period waits for the next event after it; with [`Edge::Trailing`] an event that
    /// finds no period begins one. A period counts from the start of a call, so that a handler which takes longer
    /// is called again as soon as it returns, if there is more. The time is that of [`Clock::Monotonic`](crate::Clock),
    /// and virtual in a simulation. Until the source is active nothing counts: what was merged before counts as merged by
    /// the activation.
    ///
    /// A source has one pace: `throttle` and [`debounce`](Self::debounce) are for one that has none yet.
    ///
    /// A merge into a source that calls at both edges costs what it costs without a pace. With another edge it looks at the
    /// clock.
    ///
    /// # Suspension and end
    ///
    /// While the source is suspended nothing is called and no timer runs. The time goes on meanwhile: if the period has
    /// ended when the source is resumed, the call comes at once. Cancelling does not wait for a period either. A shutdown
    /// that [drains](crate::Shutdown::Drain) delivers at once what was held back, and any other drops it.
    ///
    /// # Examples
    ///
    /// A progress bar that is redrawn sixty times a second at most, and once more for the rest:
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    /// use std::time::Duration;
    ///
    /// const TOTAL: u64 = 1_000;
    /// let screen = Queue::serial("com.example.screen");
    /// let (complete, mut done) = (Event::new(), 0);
    /// let tell = complete.clone();
    /// let progress = Source::add(&screen)
    ///     .throttle(Duration::from_secs(1) / 60)
    ///     .on_event(move |steps| {
    ///         done += steps;
    ///         println!("{} %", done * 100 / TOTAL);
    ///         if done == TOTAL {
    ///             tell.set();
    ///         }
    ///     })
    ///     .activate()?;
    /// (0..TOTAL).for_each(|_| progress.merge(1));
    /// complete.wait();
    /// # Ok::<(), concourse::PaceError>(())
    /// ```
    pub fn throttle(self, period: Duration) -> SourceBuilder<K, Paced> {
        self.paced(Rule::throttle(period))
    }

    /// Calls the handler when nothing has come for the time of `quiet`, with everything since its last call.
    ///
    /// A period begins with an event that finds none, and ends when `quiet` has passed without another. These are the calls
    /// for six events, with a time of 10, each with how many of them it delivers:
    ///
    /// ```text
    /// time       0         10        20        30        40
    /// events     * * *   *    *                    *
    /// Trailing                          5                    1
    /// Leading    1                                 5
    /// Both       1                      4          1
    /// ```
    ///
    /// `Trailing` is what a debounced source does unless it is given another [`edge`](SourceBuilder::edge). With
    /// [`Edge::Leading`] what comes in a period waits for the next event after it. While events never cease the call never comes, unless
    /// [`max_delay`](SourceBuilder::max_delay) bounds the wait; a call at its bound does not end the period.
    ///
    /// What counts as an event is what the source is told: a merge, a message, a change of a file. A timer, a signal, memory
    /// pressure, or a descriptor that is ready reports once and then not again until its handler was called, so that this
    /// delays each of its calls by `quiet`, however much comes meanwhile. Such sources, files and ports call at the end of a
    /// period with [`Edge::Leading`] too: there might be no next event.
    ///
    /// Each merge looks at the clock. What [`throttle`](Self::throttle) says of clocks, suspension and the end holds here
    /// as well.
    ///
    /// # Examples
    ///
    /// An editor saves when its user pauses, and every few seconds while there is no pause:
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    /// use std::time::Duration;
    ///
    /// let disk = Queue::serial("com.example.disk");
    /// let saved = Event::new();
    /// let tell = saved.clone();
    /// let document = Source::replace(&disk)
    ///     .debounce(Duration::from_millis(20))
    ///     .max_delay(Duration::from_secs(5))
    ///     .on_event(move |text: String| {
    ///         println!("saving {text:?}");
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// for text in ["h", "he", "hello"] {
    ///     document.merge(text.to_owned());
    /// }
    /// saved.wait();
    /// # Ok::<(), concourse::PaceError>(())
    /// ```
    pub fn debounce(self, quiet: Duration) -> SourceBuilder<K, Paced> {
        self.paced(Rule::debounce(quiet))
    }

    fn paced(self, rule: Rule) -> SourceBuilder<K, Paced> {
        let Self { source, label, handlers, .. } = self;
        SourceBuilder { source, label, handlers, pace: Some(rule), paced: PhantomData }
    }
}

impl<K: Pending> SourceBuilder<K, Paced> {
    /// Calls the handler at this end of a period, or at both.
    pub fn edge(self, edge: Edge) -> Self {
        self.describe_pace(|rule| rule.edge(edge))
    }

    /// Lets nothing wait for longer than `time`, counted from the first event that no call has taken yet, whatever the
    /// pace says otherwise.
    ///
    /// A debounced source is called while it is not quiet, and one that calls at the leading edge without an event. If
    /// the time is shorter than the period of a throttle, calls come more often than that.
    pub fn max_delay(self, time: Duration) -> Self {
        self.describe_pace(|rule| rule.max_delay(time))
    }

    fn describe_pace(mut self, change: impl FnOnce(Rule) -> Rule) -> Self {
        self.pace = self.pace.map(change);
        self
    }
}

impl<K: Mergeable> SourceBuilder<K, Paced> {
    /// Starts the source: what was merged so far counts as merged now, and is delivered after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// [`PaceError`] if the event loop cannot be started, which the first paced source or timer of a runtime does, and in
    /// a forked child, whose event loop is its parent's. The handlers are dropped then.
    pub fn activate(self) -> Result<Source<K>, PaceError> {
        let delivery = self.source.handle.delivery();
        let label = || Arc::clone(self.label.as_ref().unwrap_or_else(|| delivery.label()));
        if is_child() {
            return Err(PaceError::Forked { label: label() });
        }
        let event_loop = delivery.engine().event_loop();
        let has_ended = event_loop.map_err(|error| PaceError::NoEventLoop { label: label(), error })?.is_none();
        let source = self.start();
        if has_ended {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}
