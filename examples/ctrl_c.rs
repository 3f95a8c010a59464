//! A service that ends in order on Ctrl-C or `kill`, and at once on a second one. `kill -HUP` has it tell how far it is.

use concourse::Dispatch;
use concourse::Event;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Signal;
use concourse::Source;
use concourse::graceful_shutdown;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::builder().build()?;
    let (control, work) = (runtime.serial("com.example.control"), runtime.concurrent("com.example.work"));

    let asked = Event::new();
    let tell = asked.clone();
    let _graceful = graceful_shutdown(&control, move |signal| {
        println!("{signal}: finishing what has begun; once more to stop at once");
        tell.set();
    })?;

    let done = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&done);
    let reports = Source::signal(&control, Signal::HUP).on_event(move |arrivals| {
        let sender = arrivals.sender.map_or_else(|| "the kernel".to_owned(), |sender| format!("process {}", sender.pid));
        println!("{} x {} by {sender}: {} jobs done", arrivals.signal, arrivals.count, progress.load(Ordering::Relaxed));
    });
    let reports = reports.activate()?;

    for number in 1..=20_u64 {
        let done = Arc::clone(&done);
        work.exec_async(move || {
            (1..=number * 10_000).fold(number, |hash, n| hash.wrapping_mul(31) ^ n);
            done.fetch_add(1, Ordering::Relaxed);
        });
    }

    println!("process {}: Ctrl-C or `kill` ends it, `kill -HUP` asks how it is", std::process::id());
    asked.wait();
    let report = runtime.shutdown(Shutdown::Drain.within(Duration::from_secs(5)));
    println!("{} of 20 jobs done, {} given up", done.load(Ordering::Relaxed), report.dropped);
    drop(reports);
    Ok(())
}
