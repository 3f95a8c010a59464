//! What a person sees.

mod common;

use common::PATIENCE;
use common::Process;
use common::Scene;
use rustix::pty::OpenptFlags;
use rustix::pty::grantpt;
use rustix::pty::openpt;
use rustix::pty::ptsname;
use rustix::pty::unlockpt;
use std::fs::File;
use std::io::Read as _;
use std::thread;
use std::time::Instant;

#[test]
fn on_a_terminal_one_line_is_drawn_ten_times_a_second_at_most_and_ends_exactly() {
    let scene = Scene::new();
    let server = scene.server("");
    scene.lines("in", 800, 5);
    scene.ok("import in");

    let mut terminal = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = File::options().read(true).write(true).open(name).unwrap();
    let mut command = scene.program(&format!("--server {} run --once", server.url()));
    let started = Instant::now();
    let mut run = Process::start(command.env("TERM", "xterm").stdout(screen));
    // It ends with an error when the last process has let go of the other side.
    drop(command);
    let reading = thread::spawn(move || {
        let mut seen = Vec::new();
        let _ = terminal.read_to_end(&mut seen);
        String::from_utf8(seen).unwrap()
    });
    assert!(run.wait().success());
    let elapsed = started.elapsed();
    assert!(elapsed < PATIENCE);

    let seen = reading.join().unwrap();
    let drawn = seen.matches("\r\x1b[K").count();
    assert!(drawn >= 1 && drawn as f64 <= elapsed.as_secs_f64() * 10.0 + 3.0, "{drawn} in {elapsed:?}: {seen:?}");
    assert!(seen.contains("pending 0 · sent 800"), "{seen:?}");
    assert!(seen.ends_with("everything is sent\r\n"), "{seen:?}");
}
