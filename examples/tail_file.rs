//! Follows a file as `tail -F` does: through rotation, truncation, and times when there is no file.
//!
//! `tail_file PATH` goes on until it is interrupted. Without a path it follows a log that it writes and rotates itself.
//!
//! The source tells that something happened at the path, and the handler finds out what there is to print: the rest of
//! the file it has open, and then all of the one that has taken its place.

use concourse::Event;
use concourse::Queue;
use concourse::Source;
use concourse::source;
use concourse::source::FileEvents;
use std::env;
use std::error::Error;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// What has been read of whatever is at a path.
struct Tail {
    path: PathBuf,
    open: Option<File>,
}

impl Tail {
    /// Hands on everything that has come since the last call.
    fn read(&mut self, print: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            if let Some(file) = &mut self.open {
                if file.metadata()?.len() < file.stream_position()? {
                    // It was truncated, and is written anew.
                    file.seek(SeekFrom::Start(0))?;
                }
                let mut news = Vec::new();
                file.read_to_end(&mut news)?;
                print(&news);
            }
            // Another file may be there by now. The one before is read to its end, and its writer has left it.
            let Ok(next) = File::open(&self.path) else { return Ok(()) };
            let number = |file: &File| file.metadata().map(|status| (status.dev(), status.ino())).ok();
            if self.open.as_ref().is_some_and(|open| number(open) == number(&next)) {
                return Ok(());
            }
            self.open = Some(next);
        }
    }
}

/// Calls `print` with what is appended to the file at `path`, as long as the source lives.
fn follow(
    queue: &Queue,
    path: &Path,
    mut print: impl FnMut(&[u8]) + Send + 'static,
) -> Result<Source<source::File>, Box<dyn Error>> {
    let mut tail = Tail { path: path.to_owned(), open: None };
    let source = Source::file(queue, path, FileEvents::ALL).on_event(move |_| {
        if let Err(error) = tail.read(&mut print) {
            eprintln!("{}: {error}", tail.path.display());
        }
    });
    Ok(source.activate()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let queue = Queue::serial("tail");
    if let Some(path) = env::args_os().nth(1) {
        let print = |news: &[u8]| _ = io::stdout().write_all(news);
        let _source = follow(&queue, Path::new(&path), print)?;
        Event::new().wait();
    }
    // There is no log yet, and not even its folder.
    let folder = env::temp_dir().join(format!("tail-file-{}", std::process::id()));
    let (logs, log) = (folder.join("logs"), folder.join("logs/app.log"));
    let (tell, told) = mpsc::channel();
    let source = follow(&queue, &log, move |news| _ = tell.send(news.to_vec()))?;
    fs::create_dir_all(&logs)?;
    let mut written = String::new();
    for rotation in 1..=5 {
        let mut file = File::create(&log)?;
        for number in 1..=4 {
            let line = format!("line {number} of log {rotation}\n");
            file.write_all(line.as_bytes())?;
            written += &line;
        }
        // The next log must not be rotated away before this one is open.
        let mut tailed = Vec::new();
        while tailed.len() < written.len() {
            tailed.extend(told.recv_timeout(Duration::from_secs(60))?);
        }
        print!("{}", String::from_utf8_lossy(&tailed));
        assert_eq!(tailed, written.as_bytes(), "every line once, in order");
        written.clear();
        fs::rename(&log, logs.join(format!("app.log.{rotation}")))?;
    }
    drop(source);
    fs::remove_dir_all(folder)?;
    Ok(())
}
