//! What a disk can do to it.

mod common;

use common::Scene;
use std::fs;
use std::fs::File;
use std::process::Command;
use std::process::Stdio;

/// A scene with 60 saves that wait, and their receipts.
fn stored(scene: &Scene) -> String {
    scene.lines("in", 60, 5);
    scene.ok("import in")
}

/// Sends what can be sent of a damaged store, without `--recover` and with it, and demands that nothing wrong arrives.
fn sends_nothing_wrong(scene: &Scene, what: &str) {
    let server = scene.server("");
    let run = scene.run(&format!("--server {} run --once", server.url()));
    assert!(matches!(run.code, Some(0 | 6)), "{what}: {run:?}");
    if run.code == Some(6) {
        assert!(run.stderr.contains("--recover"), "{what}: {run:?}");
        let run = scene.run(&format!("--server {} run --once --recover", server.url()));
        assert_eq!(run.code, Some(0), "{what}: {run:?}");
        let kept = fs::read_dir(scene.path("saves")).unwrap();
        let kept = kept.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(".corrupt-"));
        assert!(kept.count() >= 1, "{what}");
    }
    let found = scene.verify(&[]);
    assert_eq!((&found["applied_twice"], &found["inversions"]), (&0.into(), &0.into()), "{what}: {found}");
    for line in common::text(&scene.path("server.log")).lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = entry["body"]["number"].as_u64().unwrap();
        assert_eq!(entry["key"], format!("key {}", number % 5), "{what}: {entry}");
        assert_eq!(entry["body"]["file"], "in", "{what}: {entry}");
    }
    // It goes on as ever.
    scene.ok("save after {\"number\":0,\"file\":\"in\"}");
    scene.ok(&format!("--server {} run --once", server.url()));
}

/// B15.
#[test]
fn bytes_that_have_changed_are_never_sent() {
    let mut rng = fastrand::Rng::with_seed(15);
    for round in 0..25 {
        let scene = Scene::new();
        stored(&scene);
        let store = scene.path("saves/queue.db");
        let mut bytes = fs::read(&store).unwrap();
        let places: Vec<usize> = (0..4).map(|_| rng.usize(..bytes.len())).collect();
        places.iter().for_each(|place| bytes[*place] ^= 1 << rng.u8(..8));
        fs::write(&store, bytes).unwrap();
        sends_nothing_wrong(&scene, &format!("round {round}, bits at {places:?}"));
    }
}

/// B15.
#[test]
fn a_store_that_was_cut_off_is_noticed() {
    for cut in [1, 100, 4_096, 10_000] {
        let scene = Scene::new();
        stored(&scene);
        let store = File::options().write(true).open(scene.path("saves/queue.db")).unwrap();
        store.set_len(store.metadata().unwrap().len() - cut).unwrap();
        sends_nothing_wrong(&scene, &format!("{cut} bytes less"));
    }
}

/// B15: a process that dies leaves its log, which is then damaged.
#[test]
fn a_log_that_was_damaged_ends_before_the_damage() {
    let mut rng = fastrand::Rng::with_seed(16);
    for round in 0..10 {
        let scene = Scene::new();
        // A saver that is killed while it holds the store open: nobody has brought its log into the store.
        scene.lines("in", 60, 5);
        let mut saver = scene.program("import -").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = saver.stdin.take().unwrap();
        std::io::copy(&mut File::open(scene.path("in")).unwrap(), &mut input).unwrap();
        let log = scene.path("saves/queue.db-wal");
        let mut receipts = std::io::BufReader::new(saver.stdout.take().unwrap());
        for _ in 0..60 {
            std::io::BufRead::read_line(&mut receipts, &mut String::new()).unwrap();
        }
        saver.kill().unwrap();
        saver.wait().unwrap();
        drop(input);
        let mut bytes = fs::read(&log).unwrap();
        let place = rng.usize(..bytes.len());
        if round % 2 == 0 {
            bytes[place] ^= 1 << rng.u8(..8);
        } else {
            bytes.truncate(place);
        }
        fs::write(&log, bytes).unwrap();
        sends_nothing_wrong(&scene, &format!("round {round}, at {place}"));
    }
}

/// B15.
#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let scene = Scene::new();
    fs::create_dir(scene.path("saves")).unwrap();
    fs::write(scene.path("saves/queue.db"), "dear diary, ".repeat(1_000)).unwrap();
    for words in ["save a 1", "status", "list", "pause", "--server http://127.0.0.1:1 run --once"] {
        assert_eq!(scene.run(words).code, Some(6), "{words}");
    }
    assert!(common::text(&scene.path("saves/queue.db")).starts_with("dear diary"));
}

/// A full disk, as the largest size that a file may have.
#[test]
fn on_a_full_disk_nothing_is_acknowledged_that_is_not_stored() {
    let scene = Scene::new();
    scene.lines("in", 20_000, 5);
    scene.ok("save first 1");
    let script = "trap '' XFSZ; ulimit -f 300; exec \"$0\" import in >receipts 2>errors";
    let mut shell = Command::new("sh");
    shell.current_dir(&scene.root).args(["-c", script, env!("CARGO_BIN_EXE_offline_save_queue")]);
    let status = shell.status().unwrap();
    assert_eq!(status.code(), Some(1), "{}", common::text(&scene.path("errors")));
    let receipts = common::text(&scene.path("receipts")).lines().count() as i64;
    assert!(receipts < 20_000);
    assert_eq!(scene.pending(), receipts + 1);
    let server = scene.server("");
    scene.ok(&format!("--server {} run --once", server.url()));
    assert_eq!(scene.verify(&["receipts"])["lost"], 0);
}

/// A receipt that cannot be written is no success.
#[test]
fn a_receipt_that_nobody_gets_is_a_failure() {
    let scene = Scene::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = scene.program("save a 1").stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
