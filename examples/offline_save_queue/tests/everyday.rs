//! What people do with it on a good day, and on a day on which a save is wrong.

mod common;

use common::Drainer;
use common::Process;
use common::Run;
use common::Scene;
use common::wait_until;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// B1.
#[test]
fn ten_thousand_saves_arrive_once_and_in_order() {
    let scene = Scene::new();
    let server = scene.server("");
    scene.lines("in.ndjson", 10_000, 50);
    let started = Instant::now();
    let receipts = scene.ok("import in.ndjson");
    assert_eq!(receipts.lines().count(), 10_000);
    fs::write(scene.path("receipts"), receipts).unwrap();
    assert_eq!(scene.pending(), 10_000);
    scene.ok(&format!("--server {} --quiet run --once --lanes 1", server.url()));
    let elapsed = started.elapsed();
    let found = scene.verify(&["receipts"]);
    assert_eq!(
        found.to_string(),
        r#"{"acknowledged":10000,"applied":10000,"applied_twice":0,"inversions":0,"lost":0}"#
    );
    assert_eq!(scene.pending(), 0);
    assert!(elapsed < Duration::from_secs(120), "{elapsed:?}");
}

/// With one lane the order is that of the saves, whatever their keys.
#[test]
fn one_lane_sends_everything_in_the_order_of_the_saves() {
    let scene = Scene::new();
    let server = scene.server("");
    scene.lines("in.ndjson", 300, 7);
    scene.ok("import in.ndjson");
    scene.ok(&format!("--server {} run --once --lanes 1", server.url()));
    let log = common::text(&scene.path("server.log"));
    let numbers: Vec<i64> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["body"]["number"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}

#[test]
fn a_save_is_acknowledged_by_its_place_and_its_name() {
    let scene = Scene::new();
    let receipt = scene.ok("save a {\"x\":1}");
    let (seq, idem) = receipt.trim_end().split_once(' ').unwrap();
    assert_eq!(seq, "1");
    assert!(idem.ends_with("-1"), "{idem}");
    let json: serde_json::Value = serde_json::from_str(&scene.ok("--json delete a")).unwrap();
    assert_eq!(json["seq"], 2);
    let list = scene.ok("list --json");
    let list: Vec<serde_json::Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&list[0]["body"]["x"], &list[1]["delete"]), (&1.into(), &true.into()));
}

#[test]
fn what_is_no_json_or_no_key_is_refused_and_not_stored() {
    let scene = Scene::new();
    for words in ["save a {", "save a {}{}", "save a", "import missing", "dead show 7", "dead retry 1"] {
        let run = scene.run(words);
        assert!(matches!(run.code, Some(1 | 2)) && run.stdout.is_empty(), "{words}: {run:?}");
    }
    let mut empty = scene.program("save");
    assert_eq!(empty.args(["", "{}"]).output().unwrap().status.code(), Some(2));
    fs::write(scene.path("long"), format!("\"{}\"", "x".repeat(1 << 20))).unwrap();
    let run = Run::from(scene.program("save a -").stdin(fs::File::open(scene.path("long")).unwrap()).output().unwrap());
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_eq!(scene.pending(), 0);
}

#[test]
fn an_import_ends_at_the_first_line_that_cannot_be_taken() {
    let scene = Scene::new();
    fs::write(
        scene.path("in"),
        "{\"key\":\"a\",\"body\":1}\n\n{\"key\":\"b\",\"delete\":true}\nnonsense\n{\"key\":\"c\",\"body\":1}\n",
    )
    .unwrap();
    let run = scene.run("import in");
    assert_eq!((run.code, run.stdout.lines().count()), (Some(2), 2), "{run:?}");
    assert!(run.stderr.contains("line 4"), "{run:?}");
    assert_eq!(scene.pending(), 2);
}

/// B8.
#[test]
fn a_save_that_the_server_will_never_take_is_kept_as_a_dead_letter() {
    let scene = Scene::new();
    let server = scene.server("--fault status=422:key=poison:times=1");
    scene.lines("in.ndjson", 99, 10);
    scene.ok("import in.ndjson");
    scene.ok("save poison 1");
    let run = scene.run(&format!("--server {} run --once --strict", server.url()));
    assert_eq!(run.code, Some(7), "{run:?}");
    assert_eq!(scene.verify(&[])["applied"], 99);
    let status = scene.status();
    assert_eq!((&status["pending"], &status["dead"], &status["sent"]), (&0.into(), &1.into(), &99.into()));
    assert!(scene.ok("dead list").contains("poison"));
    assert!(scene.ok("dead show 100").contains("\"status\": 422"));
    assert!(scene.ok("dead export").contains("\"key\":\"poison\""));
    scene.ok("dead retry 100");
    scene.ok(&format!("--server {} run --once --strict", server.url()));
    assert_eq!(scene.verify(&[])["applied"], 100);
}

#[test]
fn dead_letters_are_dropped_by_command_only_and_can_be_exported_and_imported() {
    let scene = Scene::new();
    let server = scene.server("--fault status=400:times=2");
    scene.ok("save a 1");
    scene.ok("delete b");
    scene.ok(&format!("--server {} run --once", server.url()));
    assert_eq!(scene.status()["dead"], 2);
    fs::write(scene.path("dead.ndjson"), scene.ok("dead export")).unwrap();
    scene.ok("dead drop --all");
    assert_eq!(scene.status()["dead"], 0);
    scene.ok("import dead.ndjson");
    scene.ok(&format!("--server {} run --once --strict", server.url()));
    assert_eq!(scene.verify(&[])["applied"], 2);
}

#[test]
fn behind_a_dead_letter_its_key_waits_if_it_is_told_to() {
    let scene = Scene::new();
    let server = scene.server("--fault status=410:key=a:times=1");
    for key in ["a", "a", "b"] {
        scene.ok(&format!("save {key} 1"));
    }
    let run = format!("--server {} run --once --on-dead hold", server.url());
    assert_eq!(scene.run(&run).code, Some(3));
    assert_eq!(scene.verify(&[])["applied"], 1);
    assert_eq!(scene.run(&run).code, Some(3), "also in the next run");
    scene.ok("dead retry --all");
    scene.ok(&run);
    let found = scene.verify(&[]);
    assert_eq!((&found["applied"], &found["inversions"]), (&3.into(), &0.into()));
}

/// B13.
#[test]
fn a_full_queue_refuses_and_gives_nothing_up() {
    let scene = Scene::new();
    scene.lines("in.ndjson", 100_001, 50);
    let run = scene.run("import in.ndjson");
    assert_eq!((run.code, run.stdout.lines().count()), (Some(5), 100_000), "{}", run.stderr);
    assert_eq!(scene.run("save a 1").code, Some(5));
    let status = scene.status();
    assert_eq!((&status["pending"], &status["dropped"]), (&100_000.into(), &0.into()));
}

#[test]
fn a_full_queue_gives_up_its_oldest_if_it_is_told_to_and_says_so() {
    let scene = Scene::new();
    scene.config("max_ops = 3");
    for _ in 0..5 {
        scene.ok("save a 1 --full drop-oldest");
    }
    let status = scene.status();
    assert_eq!((&status["pending"], &status["dropped"]), (&3.into(), &2.into()));
    assert_eq!(scene.run("save a 1").code, Some(5));
}

#[test]
fn only_the_last_save_of_a_key_is_sent_if_that_is_what_counts() {
    let scene = Scene::new();
    let server = scene.server("");
    scene.config("coalesce = \"last\"");
    for number in 0..10 {
        scene.ok(&format!("save a {number}"));
    }
    scene.ok("save b 1");
    scene.ok("delete b");
    scene.ok(&format!("--server {} run --once", server.url()));
    assert_eq!(scene.verify(&[])["applied"], 2);
    let log = common::text(&scene.path("server.log"));
    assert!(log.contains("\"body\":9") && !log.contains("\"body\":8") && !log.contains("\"body\":1}"), "{log}");
}

/// B17.
#[test]
fn one_process_sends_and_any_number_save() {
    let scene = Scene::new();
    let mut savers: Vec<Process> = (0..8)
        .map(|saver| {
            let name = format!("in-{saver}");
            scene.lines(&name, 500, 5);
            // A hundred processes with a save each, and one with the rest.
            let single = "read -r line; echo \"$line\" | $0 import - || exit 1";
            let script = format!("{{ for i in $(seq 100); do {single}; done; $0 import -; }} <{name} >out-{saver}");
            let mut shell = std::process::Command::new("sh");
            shell.current_dir(&scene.root).args(["-c", &script, env!("CARGO_BIN_EXE_offline_save_queue")]);
            Process::start(shell.stdin(Stdio::null()))
        })
        .collect();
    let server = scene.server("");
    let drainer = Drainer::start_ready(&scene, &server.url(), "");
    assert_eq!(scene.run(&format!("--server {} run", server.url())).code, Some(4));
    for saver in &mut savers {
        assert!(saver.wait().success());
    }
    let receipts: Vec<String> = (0..8).map(|saver| format!("out-{saver}")).collect();
    let receipts: Vec<&str> = receipts.iter().map(String::as_str).collect();
    wait_until("everything is sent", || scene.pending() == 0);
    let found = scene.verify(&receipts);
    assert_eq!(found.to_string(), r#"{"acknowledged":4000,"applied":4000,"applied_twice":0,"inversions":0,"lost":0}"#);
    assert_eq!(drainer.saw("store_failed"), 0);
}

/// B14; the store's own test sets the clock back.
#[test]
fn restarts_within_a_second_keep_the_order() {
    let scene = Scene::new();
    let server = scene.server("");
    for number in 0..6 {
        scene.ok(&format!("save a {number}"));
    }
    scene.ok(&format!("--server {} run --once", server.url()));
    let log = common::text(&scene.path("server.log"));
    let numbers: Vec<_> = log.lines().map(|line| line.split("\"body\":").nth(1).unwrap().to_owned()).collect();
    assert_eq!(numbers, ["0}", "1}", "2}", "3}", "4}", "5}"]);
}

#[test]
fn a_save_can_be_waited_for() {
    let scene = Scene::new();
    let server = scene.server("--fault status=422:key=bad");
    let run = scene.run("save a 1 --wait=100ms");
    assert_eq!((run.code, run.stdout.is_empty()), (Some(3), false), "{run:?}");
    let _drainer = Drainer::start(&scene, &server.url(), "");
    scene.ok("save a 2 --wait");
    assert_eq!(scene.verify(&[])["applied"], 2);
    assert_eq!(scene.run("save bad 1 --wait").code, Some(7));
}

#[test]
fn a_pause_holds_everything_and_status_goes_on() {
    let scene = Scene::new();
    let server = scene.server("");
    let drainer = Drainer::start_ready(&scene, &server.url(), "");
    scene.ok("pause");
    wait_until("it is paused", || drainer.saw("paused") == 1);
    scene.ok("save a 1");
    assert_eq!(scene.run("flush --timeout 300ms").code, Some(3));
    let status = scene.status();
    assert_eq!((&status["paused"], &status["pending"]), (&true.into(), &1.into()));
    scene.ok("resume");
    scene.ok("flush");
    assert_eq!(scene.verify(&[])["applied"], 1);
    assert_eq!(drainer.saw("resumed"), 1);
}

#[test]
fn help_teaches_and_usage_errors_have_their_code() {
    let scene = Scene::new();
    let help = scene.ok("--help");
    for word in
        ["save", "import", "run", "dead", "serve", "verify", "Exit codes", "First steps", "queue.toml", "offline"]
    {
        assert!(help.contains(word), "{word}");
    }
    assert!(scene.ok("serve --help").contains("flap=TIME"));
    assert!(scene.ok("--version").contains("offline_save_queue 0."));
    for words in ["", "nonsense", "run --lanes 0", "serve --fault nonsense", "run", "--server ftp://x run"] {
        assert_eq!(scene.run(words).code, Some(2), "{words}");
    }
    scene.config("servr = 1");
    assert_eq!(scene.run("--server http://x run").code, Some(2));
}

#[test]
fn plain_output_has_no_control_characters_and_says_how_it_ends() {
    let scene = Scene::new();
    let server = scene.server("");
    scene.lines("in.ndjson", 50, 5);
    scene.ok("import in.ndjson");
    let out = scene.ok(&format!("--server {} run --once", server.url()));
    assert!(!out.contains(['\x1b', '\r']), "{out:?}");
    assert!(out.ends_with("everything is sent\n"), "{out:?}");
    assert_eq!(scene.ok(&format!("--server {} --quiet run --once", server.url())), "");
}
