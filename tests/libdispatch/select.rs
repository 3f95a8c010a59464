//! `select`: a source of a descriptor that the kernel may refuse to wait for, `/dev/random`, must fire. When it is
//! cancelled, its cancel handler closes the descriptor. Then the same as in `read`, and then the first part again, with
//! a finalizer.
//!
//! What the handlers captured, and is dropped at the end, stands in the place of the finalizer.

use crate::read;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Event;
use concourse::Queue;
use concourse::Source;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

fn read_device(main: &Queue) {
    let (finished, done) = (Arc::new(()), Event::new());
    let (captured, tell) = (Arc::clone(&finished), done.clone());
    let source = Source::readable(main, File::open("/dev/random").unwrap())
        .on_ready_with(move |source, mut device, _| {
            device.read_exact(&mut [0; 8]).unwrap();
            source.cancel();
            _ = &captured;
        })
        .on_cancel_with(move |device| {
            drop(device);
            tell.set();
        })
        .activate()
        .unwrap();
    done.wait_timeout(GENEROUS).unwrap();
    drop(source);
    wait_until(|| Arc::strong_count(&finished) == 1);
}

#[test]
fn devices_and_files_can_be_waited_for_in_turn() {
    let runtime = runtime();
    let main = runtime.serial("main");
    read_device(&main);
    read::read_whole(&main, read::file("select"));
    read_device(&main);
    finish(&runtime);
}
