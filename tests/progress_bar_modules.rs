//! The unit tests that stand in the modules of the example `progress_bar`: `cargo test` builds an example as a program
//! only, so its modules are compiled once more here.
#![allow(dead_code, reason = "some items are used by the example's main alone")]

#[path = "progress_bar/pty.rs"]
mod pty;

#[path = "../examples/progress_bar/args.rs"]
mod args;
#[path = "../examples/progress_bar/control.rs"]
mod control;
#[path = "../examples/progress_bar/demos/mod.rs"]
mod demos;
#[path = "../examples/progress_bar/digest.rs"]
mod digest;
#[path = "../examples/progress_bar/flow.rs"]
mod flow;
#[path = "../examples/progress_bar/frames.rs"]
mod frames;
#[path = "../examples/progress_bar/gate.rs"]
mod gate;
#[path = "../examples/progress_bar/hash.rs"]
mod hash;
#[path = "../examples/progress_bar/keys.rs"]
mod keys;
#[path = "../examples/progress_bar/listing.rs"]
mod listing;
#[path = "../examples/progress_bar/meter.rs"]
mod meter;
#[path = "../examples/progress_bar/output.rs"]
mod output;
#[path = "../examples/progress_bar/own_process.rs"]
mod own_process;
#[path = "../examples/progress_bar/pause.rs"]
mod pause;
#[path = "../examples/progress_bar/printer.rs"]
mod printer;
#[path = "../examples/progress_bar/profile.rs"]
mod profile;
#[path = "../examples/progress_bar/progress.rs"]
mod progress;
#[path = "../examples/progress_bar/render/mod.rs"]
mod render;
#[path = "../examples/progress_bar/report.rs"]
mod report;
#[path = "../examples/progress_bar/scratch.rs"]
mod scratch;
#[path = "../examples/progress_bar/shelf.rs"]
mod shelf;
#[path = "../examples/progress_bar/signals.rs"]
mod signals;
#[path = "../examples/progress_bar/sums.rs"]
mod sums;
#[path = "../examples/progress_bar/terminal.rs"]
mod terminal;
#[path = "../examples/progress_bar/text.rs"]
mod text;
#[path = "../examples/progress_bar/threads.rs"]
mod threads;
#[path = "../examples/progress_bar/throttle.rs"]
mod throttle;
#[path = "../examples/progress_bar/walk.rs"]
mod walk;
#[path = "../examples/progress_bar/way_out.rs"]
mod way_out;
#[path = "../examples/progress_bar/worker.rs"]
mod worker;

use pty::Pty;
use std::env;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use terminal::Terminal;
use way_out::WayOut;

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    const PLACE: &str = "PROGRESS_BAR_PANICS_IN";
    if let Ok(place) = env::var(PLACE) {
        panic_on_terminal(&place);
    }
    for place in ["a job", "the main thread"] {
        let mut program = Command::new(env::current_exe().unwrap());
        program.args(["--exact", "a_panic_leaves_the_terminal_as_it_was", "--nocapture"]).env(PLACE, place);
        let mut pty = Pty::run(&program);
        pty.wait_for("keys", |pty| (!pty.is_as_found()).then_some(()));
        pty.press("x");
        assert_eq!(pty.wait_for_end(), 101, "{place}");
        assert!(pty.is_as_found(), "after a panic in {place}");
        assert!(pty.received().contains("the key is haunted"), "{}", pty.received());
    }
}

/// Enters the terminal as the program does, and panics when a key is pressed.
fn panic_on_terminal(place: &str) -> ! {
    let terminal = Arc::new(Terminal::open().unwrap());
    let way_out = Arc::new(WayOut::new(Some(Arc::clone(&terminal)), None));
    let runtime = threads::runtime(1, &way_out).unwrap();
    assert!(terminal.enter());
    while terminal.read(&mut [0; 8]).unwrap() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    if place == "a job" {
        runtime.serial("keys").exec_async(|| panic!("the key is haunted"));
        // What ends this in time is the end of the program.
        thread::sleep(Duration::from_secs(60));
    }
    panic!("the key is haunted");
}
