//! What the network and the server can do to it.

mod common;

use common::Drainer;
use common::Scene;
use common::free_port;
use common::wait_until;
use rustix::process::Signal;
use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Everything ten times as fast as it is by default.
const FAST: &str = "
first_delay = \"50ms\"
longest_delay = \"30s\"
first_probe = \"100ms\"
longest_probe = \"3s\"
";

/// B4, in a tenth of the time: what is a minute there are six seconds here.
#[test]
fn while_the_server_is_away_nothing_is_dropped_and_it_is_left_in_peace() {
    let scene = Scene::new();
    scene.config(FAST);
    scene.lines("in", 1_000, 50);
    scene.ok("import in");
    // A port at which everybody is turned away, who is counted.
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (callers, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let counting = thread::spawn({
        let (callers, is_over) = (Arc::clone(&callers), Arc::clone(&is_over));
        move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                callers.fetch_add(1, Ordering::Relaxed);
                drop(stream);
            }
        }
    });
    let drainer = Drainer::start(&scene, &format!("http://127.0.0.1:{port}"), "");
    wait_until("it calls", || callers.load(Ordering::Relaxed) > 0);
    thread::sleep(Duration::from_secs(6));
    // Four lanes may call at once before the first hears that nobody is there.
    assert!(callers.load(Ordering::Relaxed) <= 12 + 3, "{callers:?}");
    assert_eq!(drainer.saw("network_down"), 1);
    assert_eq!((drainer.saw("dead"), drainer.saw("failed")), (0, 0));
    assert_eq!(scene.pending(), 1_000);
    is_over.store(true, Ordering::Release);
    drop(std::net::TcpStream::connect(("127.0.0.1", port)));
    counting.join().unwrap();

    let _server = common::Server::start(&scene, port, "");
    let back = Instant::now();
    wait_until("everything is sent", || scene.pending() == 0);
    assert!(back.elapsed() < Duration::from_secs(3 + 2 + 60), "{:?}", back.elapsed());
    assert_eq!(scene.verify(&[])["applied"], 1_000);
}

/// B5.
#[test]
fn a_server_that_comes_and_goes_gets_everything() {
    let scene = Scene::new();
    scene
        .config("first_delay = \"20ms\"\nlongest_delay = \"200ms\"\nfirst_probe = \"50ms\"\nlongest_probe = \"300ms\"");
    let server = scene.server("--fault flap=100ms");
    let drainer = Drainer::start(&scene, &server.url(), "");
    let started = Instant::now();
    let mut saved = 0;
    // A save now and then for a hundred times up and down.
    while started.elapsed() < Duration::from_secs(20) {
        scene.ok(&format!("save key{} {saved}", saved % 7));
        saved += 1;
        thread::sleep(Duration::from_millis(15));
    }
    wait_until("everything is sent", || scene.pending() == 0);
    let found = scene.verify(&[]);
    assert_eq!(found["applied"], saved, "{found}");
    assert_eq!((&found["applied_twice"], &found["inversions"]), (&0.into(), &0.into()));
    assert_eq!(drainer.saw("dead"), 0);
    // The last that came was not forgotten over all the ups and downs.
    scene.ok("save last 1 --wait");
}

/// B9.
#[test]
fn whatever_a_server_or_somebody_in_its_place_says_nothing_is_dropped() {
    for fault in [
        "status=500:html:times=3",
        "status=502:html:times=3",
        "status=503:times=3",
        "status=408:times=3",
        "status=425:times=3",
        "html:times=7",
        "lie:times=5",
        "close:times=5",
        "reset:times=5",
        "lost:times=5",
        "hang:times=2",
        "slow=1ms:times=3",
    ] {
        let scene = Scene::new();
        scene.config(&format!("{FAST}\ntimeout = \"2s\""));
        let server = scene.server(&format!("--fault {fault}"));
        scene.lines("in", 20, 4);
        let receipts = scene.ok("import in");
        fs::write(scene.path("receipts"), receipts).unwrap();
        let drainer = Drainer::start(&scene, &server.url(), "");
        wait_until(&format!("everything is sent in spite of {fault}"), || scene.pending() == 0);
        let found = scene.verify(&["receipts"]);
        assert_eq!(
            found.to_string(),
            r#"{"acknowledged":20,"applied":20,"applied_twice":0,"inversions":0,"lost":0}"#,
            "{fault}"
        );
        assert_eq!(drainer.saw("dead"), 0, "{fault}");
    }
}

/// B9.
#[test]
fn a_server_that_says_when_to_come_back_is_obeyed() {
    let scene = Scene::new();
    let server = scene.server("--fault status=429:retry-after=2:times=1");
    scene.ok("save a 1");
    let drainer = Drainer::start(&scene, &server.url(), "");
    wait_until("it is told to wait", || drainer.saw("failed") == 1);
    let told = Instant::now();
    let failed = drainer.events().into_iter().find(|event| event["event"] == "failed").unwrap();
    let delay = failed["retry_in_ms"].as_u64().unwrap();
    assert!((2_000..3_000).contains(&delay), "{failed}");
    assert!(scene.ok("list").contains("next try in"));
    wait_until("it is sent", || scene.pending() == 0);
    // What was told may have been read a moment after it was written.
    assert!(told.elapsed() > Duration::from_millis(1_500), "{:?}", told.elapsed());
}

/// The rest after a failure survives the process.
#[test]
fn a_restart_does_not_make_a_save_due() {
    let scene = Scene::new();
    let server = scene.server("--fault status=503:retry-after=200:times=1");
    scene.ok("save a 1");
    let run = format!("--server {} run --once", server.url());
    assert_eq!(scene.run(&run).code, Some(3));
    assert_eq!(scene.run(&run).code, Some(3));
    assert_eq!(scene.verify(&[])["applied"], 0);
    assert!(scene.ok("list").contains("(1 attempts: 503"));
    // But somebody may say so.
    let _drainer = Drainer::start(&scene, &server.url(), "");
    scene.ok("flush");
    assert_eq!(scene.verify(&[])["applied"], 1);
}

#[test]
fn too_many_attempts_make_a_dead_letter() {
    let scene = Scene::new();
    scene.config("max_attempts = 3\nfirst_delay = \"1ms\"\nlongest_delay = \"1ms\"");
    let server = scene.server("--fault status=503:key=a");
    scene.ok("save a 1");
    scene.ok("save b 1");
    let drainer = Drainer::start(&scene, &server.url(), "");
    wait_until("it is given up", || drainer.saw("dead") == 1);
    assert_eq!((drainer.saw("failed"), scene.status()["dead"].as_i64()), (2, Some(1)));
    assert_eq!(scene.pending(), 0);
}

/// B9.
#[test]
fn a_server_that_does_not_know_us_gets_everything_when_the_token_is_right() {
    let scene = Scene::new();
    let server = scene.server("--token open-sesame");
    scene.lines("in", 20, 4);
    scene.ok("import in");
    let drainer = Drainer::start(&scene, &server.url(), "");
    wait_until("it is refused", || drainer.saw("not_authorized") == 1);
    assert_eq!(scene.run("flush --timeout 500ms").code, Some(3));
    assert_eq!((scene.pending(), drainer.saw("dead"), drainer.saw("failed")), (20, 0, 0));
    scene.config("token = \"wrong\"");
    wait_until("it is refused again", || drainer.saw("not_authorized") == 2);
    scene.config("token = \"open-sesame\"");
    scene.ok("flush");
    assert_eq!(scene.verify(&[])["applied"], 20);
}

#[test]
fn a_configuration_is_read_again_on_request_and_a_bad_one_changes_nothing() {
    let scene = Scene::new();
    let server = scene.server("");
    let drainer = Drainer::start_ready(&scene, &server.url(), "");
    scene.config("lanes = \"many\"");
    wait_until("it is refused", || drainer.saw("bad_config") == 1);
    fs::remove_file(scene.path("saves/queue.toml")).unwrap();
    wait_until("it is gone", || drainer.saw("configured") == 1);
    drainer.process.signal(Signal::HUP);
    wait_until("it is read", || drainer.saw("configured") == 2);
    scene.ok("save a 1 --wait");
}

/// B11.
#[test]
fn a_file_says_that_there_is_no_network() {
    let scene = Scene::new();
    let server = scene.server("");
    let drainer = Drainer::start_ready(&scene, &server.url(), "");
    scene.ok("save a 1 --wait");
    let offline = scene.path("saves/offline");
    File::create(&offline).unwrap();
    wait_until("it is offline", || drainer.saw("offline") == 1);
    scene.ok("save a 2");
    assert_eq!(scene.run("flush --timeout 1s").code, Some(3));
    assert_eq!(scene.status()["offline"], true);
    fs::remove_file(&offline).unwrap();
    scene.ok("flush");
    assert_eq!(drainer.saw("online"), 1);
    assert_eq!(scene.verify(&[])["applied"], 2);
}

#[test]
fn a_save_on_its_way_goes_on_when_the_network_is_said_to_be_gone() {
    let scene = Scene::new();
    let server = scene.server("--fault slow=5ms");
    scene.ok("save a 1");
    let drainer = Drainer::start(&scene, &server.url(), "");
    wait_until("it is on its way", || scene.verify(&[])["applied"] == 1);
    File::create(scene.path("saves/offline")).unwrap();
    wait_until("it arrives", || scene.pending() == 0);
    assert_eq!(drainer.saw("sent"), 1);
}

/// An unplugged server: it is there and says nothing.
#[test]
fn a_request_that_nobody_answers_ends_by_itself() {
    let scene = Scene::new();
    scene.config("timeout = \"300ms\"\nfirst_probe = \"50ms\"");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = thread::spawn(move || {
        // Reads until the other side has had enough.
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        all
    });
    scene.ok("save a 1");
    assert_eq!(scene.run(&format!("--server http://{address} run --once")).code, Some(3));
    let request = String::from_utf8(silent.join().unwrap()).unwrap();
    assert!(request.starts_with("PUT /objects/a HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("idempotency-key: "), "{request}");
    assert_eq!(scene.pending(), 1);
}
