//! How a source of a path is described and started.

use super::File;
use super::Started;
use super::digest::Digests;
use super::events::FileEvents;
use crate::error::FileError;
use crate::event_loop::EventLoop;
use crate::queue::Dispatch;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::source::delivery::Delivery;
use crate::source::delivery::Pending;
use crate::sync::Arc;
use crate::sync::is_child;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

impl Source {
    /// A source of what happens at a path: the handler receives the [changes](super::FileChanges) since its last call.
    ///
    /// It is the *path* that is watched, not the file that happens to be there. So it goes on when the file is replaced by
    /// another one that is renamed over it, as editors save, is deleted and made anew, or moved away and back; when a
    /// symbolic link on the way is changed, or a directory above is renamed; and it need not exist yet, nor any directory
    /// above it. Symbolic links are followed up to what the path leads to.
    ///
    /// A directory is watched like a file: [`WRITE`](FileEvents::WRITE) says that an entry came or went. With
    /// [`recursive`](SourceBuilder::recursive) everything below it is watched, each path for itself.
    ///
    /// # What is delivered, and when
    ///
    /// Everything that happens after [`activate`](SourceBuilder::<File>::activate) has returned, and so after the
    /// registration handler, as far as `events` asks for it. What happens to a path between two calls is merged: its
    /// events are one set, and what came and went in between may leave no trace but in the events. What is reported is
    /// what was found: a path that is told to have been created is there, or was deleted again. What was seen before its
    /// notice came may be told twice. If the kernel drops
    /// notices, everything is looked at again, and the changes that are found are marked
    /// [`RESYNCED`](FileEvents::RESYNCED); one that left no trace is lost then, as it is during a suspension.
    ///
    /// The kernel does not tell everything: not what is written through a memory mapping before the file is closed, and,
    /// in directories, not what is done to a file under another one of its names. File systems that other machines
    /// write to, and the kernel's own, are [polled](SourceBuilder::poll_every) besides.
    ///
    /// This is what libdispatch's `DISPATCH_SOURCE_TYPE_VNODE` is mostly used for, and cannot do, as it follows the file:
    /// see [`vnode`](Source::vnode).
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::source::FileEvents;
    /// use concourse::{Event, Queue, Source};
    /// use std::fs;
    ///
    /// let folder = std::env::temp_dir().join(format!("concourse-doc-{}", std::process::id()));
    /// fs::create_dir_all(&folder)?;
    /// let (queue, saved) = (Queue::serial("com.example.config"), Event::new());
    /// let (config, tell) = (folder.join("config.toml"), saved.clone());
    /// let source = Source::file(&queue, &config, FileEvents::WRITE)
    ///     .on_event(move |changes| {
    ///         assert!(changes.events().contains(FileEvents::WRITE));
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// // As editors do: the file does not exist yet, or is replaced as a whole.
    /// fs::write(folder.join(".config.toml.new"), "threads = 4")?;
    /// fs::rename(folder.join(".config.toml.new"), &config)?;
    /// saved.wait();
    /// # drop(source);
    /// # fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file(target: &impl Dispatch, path: impl Into<PathBuf>, events: FileEvents) -> SourceBuilder<File> {
        SourceBuilder::new(File::new(path.into(), events), target)
    }
}

impl<P> SourceBuilder<File, P> {
    /// Watches a directory with everything below it. Symbolic links below it are not followed.
    ///
    /// Each directory takes one of the user's watches, of which the kernel has a limited number; files take none. What
    /// comes into the tree by a rename, or comes faster than its directory can be marked, is found: each file and
    /// directory in it is reported as created.
    pub fn recursive(self) -> Self {
        self.describe(|file| file.describe(|what, _| what.recursive = true))
    }

    /// Leaves out what `skip` is true of, with everything below it: it is neither looked at nor watched nor reported.
    ///
    /// Paths are as they are reported. The predicate must be quick, and always say the same of a path. It is called on the
    /// thread that activates the source and on the target queue.
    pub fn skip(self, skip: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.describe(|file| file.describe(|what, _| what.skip = Some(Box::new(skip))))
    }

    /// Waits until nothing has happened for `time`, and reports it all at once: a file that is being copied is one change.
    ///
    /// As long as changes go on, there is no call.
    pub fn settle(self, time: Duration) -> Self {
        self.describe(|file| file.describe(|_, pace| pace.settle = time))
    }

    /// Compares contents: a save that leaves a file as it was is no change, nor is a file that replaces an equal one.
    ///
    /// Every watched file is read, at first and whenever it was written. Changes of its attributes are reported anyhow.
    pub fn compare_contents(self) -> Self {
        self.describe(|file| file.describe(|what, _| what.digests = Some(Digests::new())))
    }

    /// Looks at everything every `interval`, and needs no notices from the kernel: neither watches nor an instance.
    ///
    /// Without it, only what the kernel does not tell of is polled, every two seconds:
    /// [`polls_because`](Source::polls_because) says why. Polling finds differences. What came and went between two looks
    /// is not found, a rename is a deletion and a creation, and a change that leaves a file's size and, within a tick of
    /// the file system's clock, its times as they were is none.
    pub fn poll_every(self, interval: Duration) -> Self {
        self.describe(|file| file.describe(|_, pace| pace.poll = Some(interval)))
    }

    fn describe(self, change: impl FnOnce(&File)) -> Self {
        change(self.source.handle.delivery().pending());
        self
    }

    /// Starts the source: whatever happens from now on is delivered after the registration handler.
    ///
    /// Looks at the path, and at everything below it if the source is [recursive](Self::recursive), before it returns. If
    /// the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// - [`NoWatch`](FileError::NoWatch) and [`NoInstance`](FileError::NoInstance) if the kernel's limits for the user are
    ///   reached; they name the setting to raise.
    /// - [`Unsupported`](FileError::Unsupported) if [`REVOKE`](FileEvents::REVOKE) is asked for, and in a simulation.
    /// - [`Forked`](FileError::Forked) in a forked child, [`BadPath`](FileError::BadPath) for an empty path,
    ///   [`NoEvents`](FileError::NoEvents) if there is nothing to hear of, [`ZeroInterval`](FileError::ZeroInterval) for one of [`poll_every`](Self::poll_every), and others if the kernel
    ///   refuses what is needed.
    ///
    /// The handlers are dropped then.
    pub fn activate(self) -> Result<Source<File>, FileError> {
        let delivery = self.source.handle.delivery();
        if delivery.pending().pace.lock().poll == Some(Duration::ZERO) {
            let label = self.label.clone().unwrap_or_else(|| Arc::clone(delivery.label()));
            return Err(FileError::ZeroInterval { label });
        }
        self.start_on_loop(File::start, |file| file.pace.lock().is_under_way = true)
    }
}

impl<K: Pending, P> SourceBuilder<K, P> {
    /// Starts the source if `start` does so on the runtime's event loop; if that has ended, the source has too. It is
    /// `under_way` then, unless the first turn, after the registration handler, has to come first.
    pub(super) fn start_on_loop(
        self,
        start: impl FnOnce(&K, &Arc<EventLoop>, &Arc<Delivery<K>>, &Arc<str>) -> Result<Started, FileError>,
        under_way: impl FnOnce(&K),
    ) -> Result<Source<K>, FileError> {
        let delivery = Arc::clone(self.source.handle.delivery());
        let label = self.label.clone().unwrap_or_else(|| Arc::clone(delivery.label()));
        let event_loop = delivery.engine().event_loop();
        let event_loop = event_loop.map_err(|error| FileError::NoEventLoop { label: Arc::clone(&label), error })?;
        let started = match event_loop {
            None if is_child() => return Err(FileError::Forked { label }),
            None => Started::LoopHasEnded,
            Some(event_loop) => {
                let pending = delivery.pending();
                start(pending, event_loop, &delivery, &label).inspect_err(|_| pending.close())?
            }
        };
        let registers = self.handlers.registered.is_some();
        let source = self.start();
        match started {
            Started::Watching if registers => {}
            Started::Watching => under_way(delivery.pending()),
            Started::LoopHasEnded => delivery.end(),
        }
        Ok(source)
    }
}

impl Source<File> {
    /// Why the source does not hear of every change and polls as well; `None` if it need not.
    ///
    /// The kernel's watches may be used up by the time that another directory comes, the file system may be one that does
    /// not tell. Nothing is lost by it, but it takes longer.
    pub fn polls_because(&self) -> Option<FileError> {
        self.handle().delivery().pending().pace.lock().trouble.clone()
    }
}
