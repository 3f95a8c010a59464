//! B2: savers, drainers and the server are killed again and again while requests fail, and nothing is lost, doubled or
//! turned around.

mod common;

use common::Drainer;
use common::Process;
use common::Scene;
use common::wait_until;
use std::fs::File;
use std::thread;
use std::time::Duration;

const FAULTS: &str = "--fault status=503:every=14 --fault lost:every=14:after=7";

const PATIENT: &str = "
first_delay = \"10ms\"
longest_delay = \"200ms\"
first_probe = \"20ms\"
longest_probe = \"100ms\"
max_attempts = 1000
timeout = \"5s\"
";

#[test]
fn whoever_is_killed_nothing_is_lost_doubled_or_turned_around() {
    let scene = Scene::new();
    scene.config(PATIENT);
    let mut server = scene.server(FAULTS);
    let url = server.url();

    let (mut receipts, mut drainers, mut duplicates) = (Vec::new(), 0, 0);
    let mut drainer = Drainer::start(&scene, &url, "");
    for round in 0..10_u64 {
        // A saver that is killed in the middle of its work, while drainers and the server come and go.
        let (input, output) = (format!("in-{round}"), format!("out-{round}"));
        scene.lines(&input, 200_000, 50);
        let mut import = scene.program(&format!("import {input}"));
        let mut saver = Process::start(
            import.stdout(File::create(scene.path(&output)).unwrap()).stderr(std::process::Stdio::null()),
        );
        wait_until("it saves", || scene.path(&output).metadata().unwrap().len() > 0);
        thread::sleep(Duration::from_millis(10 + 7 * round % 40));
        saver.kill();
        receipts.push(output);

        for _ in 0..2 {
            thread::sleep(Duration::from_millis(50 + 31 * round % 100));
            drainer.process.kill();
            duplicates += drainer.saw("duplicate");
            drainers += 1;
            drainer = Drainer::start(&scene, &url, "");
        }
        if round % 2 == 1 {
            server.kill();
            thread::sleep(Duration::from_millis(30));
            server.restart(&scene, FAULTS);
        }
    }
    wait_until("everything is sent", || scene.pending() == 0);
    duplicates += drainer.saw("duplicate");
    assert_eq!(drainers, 20);

    let receipts: Vec<&str> = receipts.iter().map(String::as_str).collect();
    let found = scene.verify(&receipts);
    println!("{found}, {duplicates} refused as duplicates");
    for wrong in ["lost", "applied_twice", "inversions"] {
        assert_eq!(found[wrong], 0, "{found}");
    }
    assert!(found["acknowledged"].as_u64().unwrap() >= 10, "{found}");
    assert!(duplicates > 0, "no save was sent twice: nothing was tried");
    let status = scene.status();
    assert_eq!(status["dead"], 0, "{status}");
    assert_eq!(status["saved"], status["sent"], "{status}");
}
