//! `read`: a source of a regular file of 2 MiB, on the main queue. Each call reads what it is told is there; that is never
//! more than what is left. When a read is short the source cancels itself: the cancel handler comes after the last call,
//! all bytes have been read, and the descriptor can be closed. The finalizer runs when the source is released.
//!
//! On Linux the original is told of one byte at a time; here it is what is left, exactly. What the handlers captured, and
//! is dropped at the end, stands in the place of the finalizer.

use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Event;
use concourse::Queue;
use concourse::Source;
use std::env;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::process;
use std::sync::Arc;

const SIZE: usize = 2 << 20;

/// A file of that size without a name.
pub(crate) fn file(test: &str) -> File {
    let path = env::temp_dir().join(format!("concourse-{test}-{}", process::id()));
    fs::write(&path, vec![0x5A; SIZE]).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

/// Reads a file to its end.
pub(crate) fn read_whole(main: &Queue, file: File) {
    let (finished, done, mut total) = (Arc::new(()), Event::new(), 0);
    let (captured, tell) = (Arc::clone(&finished), done.clone());
    let source = Source::readable(main, file)
        .on_ready_with(move |source, mut file, input| {
            let left = (SIZE - total) as u64;
            assert_eq!((input.bytes, input.ended), (Some(left), left == 0));
            let mut buffer = [0; 500 * 1024];
            let count = file.read(&mut buffer).unwrap();
            assert!(buffer[..count].iter().all(|byte| *byte == 0x5A));
            total += count;
            if count < buffer.len() {
                assert_eq!(file.read(&mut buffer).unwrap(), 0);
                assert_eq!(total, SIZE);
                source.cancel();
            }
            _ = &captured;
        })
        .on_cancel_with(move |file| {
            drop(file);
            tell.set();
        })
        .activate()
        .unwrap();
    done.wait_timeout(GENEROUS).unwrap();
    drop(source);
    wait_until(|| Arc::strong_count(&finished) == 1);
}

#[test]
fn a_file_is_read_to_its_end_by_a_source() {
    let runtime = runtime();
    read_whole(&runtime.serial("main"), file("read"));
    finish(&runtime);
}
