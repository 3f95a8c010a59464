//! Only a timer has times.

use concourse::{Queue, Source};
use std::time::Duration;

fn main() {
    let _ = Source::add(&Queue::serial("sums")).every(Duration::from_secs(1));
}
