//! How urgent work is.

/// The quality of service of a queue: how urgent its work is to a person who waits for it.
///
/// The classes are libdispatch's, in its order: `Background < Utility < Default < UserInitiated < UserInteractive`.
///
/// # What a class does
///
/// A class says *which job a free thread takes next*. A thread that has finished a job takes the next one from the most
/// urgent class that has any, whichever queue it comes from; within a class, queues and jobs of their own take turns.
/// Each class that is passed over gets its turn nevertheless: a thread takes at least one job of each waiting class in
/// every 244 that it takes, however many urgent ones there are. So nothing starves.
///
/// A class belongs to a queue, and all jobs of the queue have it. A job does not inherit the class of whoever submits it:
/// where libdispatch lets an urgent job pull those before it ahead, here the queue decides.
///
/// # What it does not do
///
/// * It never interrupts a job that runs. When every thread is busy with background work, an urgent job waits until one
///   of these jobs ends. Keep such jobs short, or leave a thread free for others by a
///   [`width`](crate::QueueBuilder::width) for their queue.
/// * It does not order the jobs of a queue: a serial queue keeps its order whatever waits behind it.
/// * It tells the operating system nothing, unless the runtime is built with
///   [`nice_levels`](crate::RuntimeBuilder::nice_levels).
///
/// # What a waiting thread lends
///
/// A thread that waits in [`exec_sync`](crate::Queue::exec_sync) or [`barrier_sync`](crate::Queue::barrier_sync) lends
/// itself. If the queue is not being run at that moment, the thread runs what stands ahead of its own call, at once and
/// however urgent the pool's other work is; a low class cannot hold it up. If the queue is being run, the thread waits for
/// the job that runs, whose thread gets no more of the processor than before, and goes on from there.
///
/// Groups, semaphores and events belong to nobody in particular, so that waiting for one lends nothing, as in libdispatch.
///
/// ```
/// use concourse::{Qos, Queue};
///
/// let thumbnails = Queue::builder("thumbnails").qos(Qos::Utility).build()?;
/// assert_eq!(thumbnails.qos(), Qos::Utility);
/// assert!(Qos::Background < Qos::Utility && Qos::UserInitiated < Qos::UserInteractive);
/// # Ok::<(), concourse::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Qos {
    /// Work nobody waits for: clean-up, prefetching, an index.
    Background,
    /// Long work with visible progress: a download, an import.
    Utility,
    /// Ordinary work.
    #[default]
    Default,
    /// Work somebody asked for and waits for.
    UserInitiated,
    /// Work that a person feels within a frame.
    UserInteractive,
}

impl Qos {
    /// The classes, each at the place that is its number.
    pub(crate) const ALL: [Self; 5] =
        [Self::Background, Self::Utility, Self::Default, Self::UserInitiated, Self::UserInteractive];
}
