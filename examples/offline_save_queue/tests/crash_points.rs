//! B3: the process dies at each point at which it matters, and nothing is lost, doubled or turned around.

mod common;

use common::Drainer;
use common::Scene;
use common::Server;
use common::free_port;
use common::wait_until;
use std::fs;
use std::fs::File;
use std::process::Stdio;

/// Lets `import` die at `point`, and imports the rest without it. Returns the receipts that were printed.
fn import_dying_at(scene: &Scene, point: &str) -> String {
    scene.lines("first", 120, 5);
    scene.lines("second", 60, 5);
    let mut receipts = scene.ok("import first");
    let dying = scene
        .program("import -")
        .stdin(File::open(scene.path("second")).unwrap())
        .env("OSQ_CRASH", point)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(dying.status.code(), None, "{point}: it did not die");
    receipts += std::str::from_utf8(&dying.stdout).unwrap();
    receipts
}

/// Sends everything, and holds what arrived against the receipts.
fn arrives(scene: &Scene, server: &Server, receipts: &str) {
    fs::write(scene.path("receipts"), receipts).unwrap();
    scene.ok(&format!("--server {} run --once", server.url()));
    let found = scene.verify(&["receipts"]);
    for wrong in ["lost", "applied_twice", "inversions"] {
        assert_eq!(found[wrong], 0, "{found}");
    }
    assert_eq!(found["acknowledged"].as_u64().unwrap(), receipts.lines().count() as u64);
}

fn saver_dies_at(point: &str, stored: i64, acknowledged: usize) {
    let scene = Scene::new();
    let receipts = import_dying_at(&scene, point);
    assert_eq!(receipts.lines().count(), acknowledged);
    assert_eq!(scene.pending(), stored);
    let server = scene.server("");
    arrives(&scene, &server, &receipts);
    assert_eq!(scene.verify(&[])["applied"], stored);
}

#[test]
fn a_saver_that_dies_before_its_commit_has_saved_and_promised_nothing() {
    saver_dies_at("save.before_commit", 120, 120);
}

#[test]
fn a_saver_that_dies_after_its_commit_has_saved_more_than_it_has_promised() {
    saver_dies_at("save.after_commit", 180, 120);
}

#[test]
fn a_saver_that_dies_after_its_receipts_has_saved_what_it_has_promised() {
    saver_dies_at("save.after_receipt", 180, 180);
}

/// A drainer dies at `point`, then again in the next run, and then one goes to the end.
fn drainer_dies_at(point: &str, faults: &str) {
    let scene = Scene::new();
    let server = scene.server(faults);
    scene.lines("in", 120, 5);
    let receipts = scene.ok("import in");
    for point in [point.to_owned(), format!("{point}:7")] {
        let mut run = scene.program(&format!("--server {} --quiet run --once", server.url()));
        let status = run.env("OSQ_CRASH", &point).stderr(Stdio::null()).status().unwrap();
        // The second time there may be less to do than it takes to die.
        assert!(status.code().is_none() || point.ends_with(":7"), "{point}: it did not die");
    }
    arrives(&scene, &server, &receipts);
}

#[test]
fn a_drainer_may_die_when_it_has_just_begun() {
    drainer_dies_at("run.after_lock", "");
}

#[test]
fn a_drainer_may_die_before_it_sends() {
    drainer_dies_at("send.before", "");
}

#[test]
fn a_drainer_may_die_when_the_reply_is_there() {
    drainer_dies_at("send.after", "");
}

#[test]
fn a_drainer_may_die_before_it_has_noted_what_was_sent() {
    drainer_dies_at("settle.before_commit", "");
}

#[test]
fn a_drainer_may_die_when_it_has_noted_what_was_sent() {
    drainer_dies_at("settle.after_commit", "");
}

#[test]
fn a_dead_letter_survives_a_drainer_that_dies_over_it() {
    for point in ["dead.before_commit", "settle.after_commit"] {
        let scene = Scene::new();
        let server = scene.server("--fault status=422:key=poison");
        scene.ok("save poison 1");
        scene.ok("save good 1");
        let mut run = scene.program(&format!("--server {} --quiet run --once --lanes 1", server.url()));
        let status = run.env("OSQ_CRASH", point).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), None, "{point}: it did not die");
        assert_eq!(scene.run(&format!("--server {} run --once --strict", server.url())).code, Some(7));
        let status = scene.status();
        assert_eq!(
            (&status["pending"], &status["dead"], &status["sent"]),
            (&0.into(), &1.into(), &1.into()),
            "{point}"
        );
    }
}

/// The server dies at `point` in the middle of a run, and comes back.
fn server_dies_at(point: &str) {
    let scene = Scene::new();
    scene.config("first_probe = \"50ms\"\nlongest_probe = \"200ms\"\nfirst_delay = \"20ms\"");
    scene.lines("in", 120, 5);
    let receipts = scene.ok("import in");
    let mut server = Server::start_with(&scene, free_port(), "", |command| {
        command.env("OSQ_CRASH", format!("{point}:30")).stderr(Stdio::null());
    });
    let drainer = Drainer::start(&scene, &server.url(), "");
    wait_until("the server dies", || server.has_died());
    server.restart(&scene, "");
    wait_until("everything is sent", || scene.pending() == 0);
    drop(drainer);
    arrives(&scene, &server, &receipts);
    assert_eq!(scene.verify(&[])["applied"], 120);
}

#[test]
fn a_server_may_die_with_half_a_line_written() {
    server_dies_at("apply.half_written");
}

#[test]
fn a_server_may_die_before_its_sync() {
    server_dies_at("apply.before_sync");
}

#[test]
fn a_server_may_die_before_it_says_so() {
    server_dies_at("apply.after_sync");
}

#[test]
fn a_recovery_that_dies_in_the_middle_goes_on_with_the_next_and_nothing_is_saved_meanwhile() {
    for point in ["salvage.after_mark", "salvage.after_move", "salvage.before_end"] {
        let scene = Scene::new();
        let server = scene.server("");
        scene.lines("in", 50, 5);
        let receipts = scene.ok("import in");
        // Damaged where nothing is stored that was saved: in the count of free pages.
        let store = scene.path("saves/queue.db");
        let mut bytes = fs::read(&store).unwrap();
        bytes[36..40].copy_from_slice(&7_u32.to_be_bytes());
        fs::write(&store, bytes).unwrap();
        let run = format!("--server {} run --once", server.url());
        assert_eq!(scene.run(&run).code, Some(6));
        let mut recovery = scene.program(&format!("{run} --recover"));
        let status = recovery.env("OSQ_CRASH", point).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), None, "{point}: it did not die");
        for words in ["save a 1", "status", &run] {
            assert_eq!(scene.run(words).code, Some(6), "{point}: {words}");
        }
        assert_eq!(scene.run(&format!("{run} --recover")).code, Some(0), "{point}");
        arrives(&scene, &server, &receipts);
        assert_eq!(scene.verify(&[])["applied"], 50, "{point}");
        let kept = fs::read_dir(scene.path("saves")).unwrap();
        let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(kept.filter(|name| name.starts_with("queue.db.corrupt-") && !name.contains("-wal")).count(), 1);
    }
}
