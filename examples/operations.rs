//! Builds a small program: fetches what it needs, compiles, links, checks and packs it, as far as each depends on the others.
//!
//! The network fails now and then, so that fetches are tried again; two of them run at a time, and three compilers. One part
//! of the documentation cannot be built, and the rest does without it. Everything is drawn in the language of Graphviz before
//! it begins, and the progress is reported as it changes.

use concourse::Operation;
use concourse::OperationError;
use concourse::OperationQueue;
use concourse::Priority;
use concourse::Progress;
use concourse::Queue;
use concourse::Retry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The units of the program, each after those that it uses.
const UNITS: [(&str, &[&str]); 6] = [
    ("log", &[]),
    ("net", &["log"]),
    ("store", &["log"]),
    ("sync", &["net", "store"]),
    ("ui", &["log"]),
    ("main", &["sync", "ui"]),
];

const MS: Duration = Duration::from_millis(1);

/// What a compiler makes of a unit.
struct Object {
    name: &'static str,
    /// The units whose objects it has seen, itself included.
    uses: usize,
}

/// A network on which every third answer gets lost on its way.
fn fetch(name: &str, attempt: u32) -> Result<String, String> {
    std::thread::sleep(2 * MS);
    if (name.len() as u32 + attempt).is_multiple_of(3) {
        Err(format!("no answer for {name}"))
    } else {
        Ok(format!("fn {name}()"))
    }
}

fn main() -> Result<(), OperationError> {
    let network = OperationQueue::builder("network").max_concurrent(2).build();
    let build = OperationQueue::builder("build").max_concurrent(3).build();
    let (screen, progress) = (Queue::serial("screen"), Progress::new(2 * UNITS.len() as u64));
    progress.on_change(&screen, |fraction| println!("{:3.0} %", fraction * 100.0));
    // The whole graph is there before anything begins.
    let start = network.suspend_guard().expect("one suspension");

    let retry = Retry::up_to(5).pause(4 * MS);
    let mut objects = BTreeMap::<&str, Operation<Object>>::new();
    for (name, uses) in UNITS {
        let source = network.operation(&format!("fetch {name}")).progress(&progress, 1).timeout(1_000 * MS).retry(
            retry,
            move |context| {
                let fetched = fetch(name, context.attempt());
                if let Err(error) = &fetched {
                    println!("attempt {}: {error}", context.attempt());
                }
                fetched
            },
        );
        let used: Vec<_> = uses.iter().map(|unit| objects[unit].clone()).collect();
        let compile = build.operation(&format!("compile {name}")).progress(&progress, 1).with((&source, &used));
        let object = compile.try_run(move |_, (source, used)| {
            if !source.contains(name) {
                return Err(format!("{name}: nothing to compile"));
            }
            Ok(Object { name, uses: 1 + used.iter().map(|object| object.uses).sum::<usize>() })
        });
        objects.insert(name, object);
    }

    let all: Vec<_> = objects.values().cloned().collect();
    let program = build.operation("link").priority(Priority::High).with(&all).run(|objects| {
        let names: Vec<_> = objects.iter().map(|object| object.name).collect();
        names.join("+")
    });
    let checks = build.operation("check").with(&objects["main"]).run(|main| format!("main has seen {}", main.uses));
    let pictures = build.operation("draw pictures").try_run(|_| Err::<String, _>("no pencil"));
    let manual = build
        .operation("write manual")
        .with(pictures.or("no pictures".to_owned()))
        .run(|pictures| format!("a manual with {pictures}"));
    let package = build.operation("pack").after(&checks).with((&program, &manual));
    let package = package.run(|(program, manual)| format!("{program}, and {manual}"));

    // An operation that would depend on itself, through others, is refused.
    let knot = objects["log"].add_dependency(&package).expect_err("the package needs the log");
    println!("{knot}\n\n{}", build.dot());

    drop(start);
    let package: Arc<String> = package.wait()?;
    println!("{}", checks.wait()?);
    println!("packed: {package}");
    assert_eq!(*package, "log+main+net+store+sync+ui, and a manual with no pictures");

    build.wait_until_finished()?;
    screen.exec_sync(|| assert!(progress.is_finished()));
    Ok(())
}
