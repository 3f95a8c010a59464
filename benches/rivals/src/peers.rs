//! The peers behind two small traits: pools of two threads, and what runs jobs one after another.
//!
//! Each is written as somebody who knows that crate would write it. A *strand* is the serial queue that one builds by
//! hand over a pool: a locked list of boxed closures, drained in batches by whoever finds it unscheduled.

use concourse::{GlobalQueue, Qos, Queue, Runtime};
use parking_lot::Mutex;
use std::future::Future;
use std::mem;
use std::sync::{Arc, LazyLock};
use std::thread;

/// How many threads every pool has.
pub(crate) const THREADS: usize = 2;

pub(crate) type Closure = Box<dyn FnOnce() + Send>;

/// Runs jobs on two threads, in any order. One per process: the value is a name for it.
pub(crate) trait Pool: Copy + Send + Sync + 'static {
    fn spawn(self, f: impl FnOnce() + Send + 'static);
}

/// Runs jobs one after another.
pub(crate) trait Serial: Clone + Send + Sync + 'static {
    /// A new one, at rest.
    fn start() -> Self;

    fn exec(&self, f: impl FnOnce() + Send + 'static);
}

/// The runtime of the contender `concourse`.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Runtime::builder().threads(THREADS).build().expect("two threads are allowed"));
    &RUNTIME
}

#[derive(Clone, Copy)]
pub(crate) struct Concourse;

impl Pool for Concourse {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        static QUEUE: LazyLock<GlobalQueue> = LazyLock::new(|| runtime().global(Qos::Default));
        QUEUE.exec_async(f);
    }
}

impl Serial for Queue {
    fn start() -> Self {
        runtime().serial("bench")
    }

    fn exec(&self, f: impl FnOnce() + Send + 'static) {
        self.exec_async(f);
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Rayon;

impl Rayon {
    pub(crate) fn pool() -> &'static rayon::ThreadPool {
        static POOL: LazyLock<rayon::ThreadPool> =
            LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().expect("two threads"));
        &POOL
    }
}

impl Pool for Rayon {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        Self::pool().spawn(f);
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Tokio;

impl Tokio {
    pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
        static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(THREADS)
                .enable_time()
                .build()
                .expect("two threads")
        });
        &RUNTIME
    }
}

impl Pool for Tokio {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        Self::runtime().spawn(async move { f() });
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Smol;

impl Smol {
    pub(crate) fn executor() -> &'static async_executor::Executor<'static> {
        static EXECUTOR: async_executor::Executor<'static> = async_executor::Executor::new();
        static THREADS_RUN: LazyLock<()> = LazyLock::new(|| {
            for _ in 0..THREADS {
                thread::spawn(|| async_io::block_on(EXECUTOR.run(std::future::pending::<()>())));
            }
        });
        LazyLock::force(&THREADS_RUN);
        &EXECUTOR
    }

    pub(crate) fn detach(future: impl Future<Output = ()> + Send + 'static) {
        Self::executor().spawn(future).detach();
    }
}

impl Pool for Smol {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        Self::detach(async move { f() });
    }
}

/// Two threads that receive boxed closures from one channel.
#[derive(Clone, Copy)]
pub(crate) struct CrossbeamThreads;

impl Pool for CrossbeamThreads {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        static SENDER: LazyLock<crossbeam_channel::Sender<Closure>> = LazyLock::new(|| {
            let (sender, receiver) = crossbeam_channel::unbounded::<Closure>();
            for _ in 0..THREADS {
                let receiver = receiver.clone();
                thread::spawn(move || receiver.into_iter().for_each(|job| job()));
            }
            sender
        });
        SENDER.send(Box::new(f)).expect("the receivers live as long as the process");
    }
}

/// Two threads that receive boxed closures from one channel.
#[derive(Clone, Copy)]
pub(crate) struct KanalThreads;

impl Pool for KanalThreads {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        static SENDER: LazyLock<kanal::Sender<Closure>> = LazyLock::new(|| {
            let (sender, receiver) = kanal::unbounded::<Closure>();
            for _ in 0..THREADS {
                let receiver = receiver.clone();
                thread::spawn(move || receiver.for_each(|job| job()));
            }
            sender
        });
        SENDER.send(Box::new(f)).expect("the receivers live as long as the process");
    }
}

#[derive(Clone, Copy)]
pub(crate) struct RustyPool;

impl RustyPool {
    pub(crate) fn pool() -> &'static rusty_pool::ThreadPool {
        static POOL: LazyLock<rusty_pool::ThreadPool> =
            LazyLock::new(|| rusty_pool::Builder::new().core_size(THREADS).max_size(THREADS).build());
        &POOL
    }
}

impl Pool for RustyPool {
    fn spawn(self, f: impl FnOnce() + Send + 'static) {
        Self::pool().execute(f);
    }
}

/// A serial queue by hand: whoever adds the first closure has the pool drain the list.
pub(crate) struct Strand<P> {
    pool: P,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    jobs: Vec<Closure>,
    scheduled: bool,
}

impl<P: Copy> Clone for Strand<P> {
    fn clone(&self) -> Self {
        Self { pool: self.pool, line: Arc::clone(&self.line) }
    }
}

impl<P: Pool> Strand<P> {
    fn over(pool: P) -> Self {
        Self { pool, line: Arc::default() }
    }

    fn add(&self, job: Closure) {
        let mut line = self.line.lock();
        line.jobs.push(job);
        if !mem::replace(&mut line.scheduled, true) {
            drop(line);
            let line = Arc::clone(&self.line);
            self.pool.spawn(move || drain(&line));
        }
    }
}

fn drain(line: &Mutex<Line>) {
    let mut batch = Vec::new();
    loop {
        let mut locked = line.lock();
        if locked.jobs.is_empty() {
            locked.scheduled = false;
            return;
        }
        mem::swap(&mut locked.jobs, &mut batch);
        drop(locked);
        batch.drain(..).for_each(|job| job());
    }
}

macro_rules! strands {
    ($($pool:ident),*) => {$(
        impl Serial for Strand<$pool> {
            fn start() -> Self {
                Self::over($pool)
            }

            fn exec(&self, f: impl FnOnce() + Send + 'static) {
                self.add(Box::new(f));
            }
        }
    )*};
}

strands!(Rayon, Tokio, Smol);

/// A thread of its own behind a channel.
#[derive(Clone)]
pub(crate) struct KanalThread(kanal::Sender<Closure>);

impl Serial for KanalThread {
    fn start() -> Self {
        let (sender, receiver) = kanal::unbounded::<Closure>();
        thread::spawn(move || receiver.for_each(|job| job()));
        Self(sender)
    }

    fn exec(&self, f: impl FnOnce() + Send + 'static) {
        self.0.send(Box::new(f)).expect("the receiver ends after the senders");
    }
}

/// A thread of its own behind a channel.
#[derive(Clone)]
pub(crate) struct CrossbeamThread(crossbeam_channel::Sender<Closure>);

impl Serial for CrossbeamThread {
    fn start() -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded::<Closure>();
        thread::spawn(move || receiver.into_iter().for_each(|job| job()));
        Self(sender)
    }

    fn exec(&self, f: impl FnOnce() + Send + 'static) {
        self.0.send(Box::new(f)).expect("the receiver ends after the senders");
    }
}

/// A task of its own behind a channel.
#[derive(Clone)]
pub(crate) struct TokioTask(tokio::sync::mpsc::UnboundedSender<Closure>);

impl Serial for TokioTask {
    fn start() -> Self {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Closure>();
        Tokio::runtime().spawn(async move {
            while let Some(job) = receiver.recv().await {
                job();
            }
        });
        Self(sender)
    }

    fn exec(&self, f: impl FnOnce() + Send + 'static) {
        assert!(self.0.send(Box::new(f)).is_ok(), "the receiver ends after the senders");
    }
}
