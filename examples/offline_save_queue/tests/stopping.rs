//! How it ends.

mod common;

use common::Drainer;
use common::Scene;
use common::Server;
use common::wait_until;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;
use std::time::Instant;

/// A drainer with a save on its way, which the server will never answer.
fn in_the_middle(scene: &Scene) -> (Server, Drainer) {
    scene.config("timeout = \"1min\"");
    let server = scene.server("--fault hang");
    scene.ok("save a 1");
    scene.ok("save a 2");
    let drainer = Drainer::start_ready(scene, &server.url(), "");
    wait_until("one is on its way", || drainer.saw("enqueued") == 1);
    (server, drainer)
}

/// B12.
#[test]
fn an_idle_drainer_ends_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let scene = Scene::new();
        let server = scene.server("");
        let mut drainer = Drainer::start_ready(&scene, &server.url(), "");
        let asked = Instant::now();
        drainer.process.signal(signal);
        assert_eq!(drainer.process.wait().code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(4), "it waits for nothing: {:?}", asked.elapsed());
        assert_eq!(drainer.saw("stopping"), 1);
        assert!(scene.status()["drainer"].is_null());
        assert!(!scene.path("saves/run.json").exists());
    }
}

/// B12.
#[test]
fn what_is_on_its_way_may_arrive_but_not_for_ever() {
    let scene = Scene::new();
    let (_server, mut drainer) = in_the_middle(&scene);
    let asked = Instant::now();
    drainer.process.signal(Signal::INT);
    assert_eq!(drainer.process.wait().code(), Some(0));
    assert!(asked.elapsed() > Duration::from_secs(4), "{:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    assert_eq!(scene.pending(), 2);
}

/// B12.
#[test]
fn a_save_that_arrives_before_the_end_is_noted() {
    let scene = Scene::new();
    let server = scene.server("--fault slow=5ms");
    scene.ok("save a 1");
    scene.ok("save a 2");
    let mut drainer = Drainer::start_ready(&scene, &server.url(), "");
    wait_until("the first is applied", || scene.verify(&[])["applied"] == 1);
    drainer.process.signal(Signal::TERM);
    assert_eq!(drainer.process.wait().code(), Some(0));
    let status = scene.status();
    assert_eq!((&status["sent"], &status["pending"]), (&1.into(), &1.into()), "{status}");
}

/// B12.
#[test]
fn a_second_signal_ends_it_at_once_and_everything_is_there() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scene = Scene::new();
        let (server, mut drainer) = in_the_middle(&scene);
        drainer.process.signal(Signal::INT);
        wait_until("it is about to stop", || drainer.saw("stopping") == 1);
        let asked = Instant::now();
        drainer.process.signal(signal);
        let status = drainer.process.wait();
        assert_eq!((status.code(), status.signal()), (Some(code), None));
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        assert_eq!(scene.pending(), 2);
        drop(server);
        let server = scene.server("");
        scene.ok(&format!("--server {} run --once", server.url()));
        assert_eq!(scene.verify(&[])["applied"], 2);
    }
}

#[test]
fn nobody_to_listen_is_no_reason_to_fail() {
    let scene = Scene::new();
    let server = scene.server("");
    scene.lines("in", 100, 5);
    scene.ok("import in");
    let command =
        format!("{} --server {} --json run --once | head -n 1", env!("CARGO_BIN_EXE_offline_save_queue"), server.url());
    let mut shell = std::process::Command::new("sh");
    assert!(shell.current_dir(&scene.root).args(["-c", &command]).status().unwrap().success());
    wait_until("everything is sent", || scene.pending() == 0);
}
