//! Demo 2. On the global queue a handler stands in line with the jobs of its producers: with a hundred of them
//! libdispatch calls it once, in the end. Here there may be several calls, never two at a time.

use crate::demos::coalescing;
use crate::demos::coalescing::Producers;
use crate::demos::coalescing::STEPS;
use crate::finish;
use crate::journal;
use crate::runtime;
use concourse::Qos;
use std::thread;
use std::time::Duration;

#[test]
fn a_handler_on_the_global_queue_is_alone_and_never_on_the_main_thread() {
    for (producers, fewest) in [(Producers::One, STEPS / 2), (Producers::Hundred, 1)] {
        let (runtime, (journal, _)) = (runtime(), journal());
        let global = runtime.global(Qos::Default);
        let (delivered, _) = coalescing::run(&runtime, &journal, &global, producers, Duration::ZERO).unwrap();
        assert_eq!((delivered.total, delivered.at_once), (STEPS, 1));
        assert!((fewest..=STEPS).contains(&delivered.calls), "{producers:?}: {delivered}");
        assert!(!delivered.threads.contains(&thread::current().id()));
        finish(&runtime);
    }
}
