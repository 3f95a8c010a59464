//! A clock with three hands, one timer each: what late hands do, and what leeway saves.
//!
//! One hand moves exactly, and is told how many ticks it has missed while the screen was busy. One makes up for each of
//! them. One ticks in between, but is content to move whenever another does, and costs no wake-up of its own.

use concourse::Clock;
use concourse::Deadline;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Source;
use concourse::TimerError;
use concourse::source::Missed;
use concourse::source::Timer;
use std::error::Error;
use std::thread;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(20);
/// How many ticks each hand shows.
const TICKS: u64 = 25;

/// A hand of the clock.
struct Hand {
    name: &'static str,
    first: Deadline,
    missed: Missed,
    leeway: Duration,
}

impl Hand {
    /// Moves with each tick until all have been shown, and is a member of the group until then.
    fn start(self, screen: &Queue, group: &Group) -> Result<Source<Timer>, TimerError> {
        let Self { name, first, missed, leeway } = self;
        let (member, mut shown) = (group.enter(), 0);
        let timer = Source::timer(screen).at(first).every(TICK).missed(missed).leeway(leeway);
        let timer = timer.on_event_with(move |timer, ticks| {
            shown += ticks;
            if ticks > 1 {
                println!("{name:>8}: {ticks} ticks at once");
            }
            if shown >= TICKS {
                println!("{name:>8}: {shown} ticks");
                timer.cancel();
            }
        });
        timer.on_cancel(move || drop(member)).activate()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::builder().name("ticker").build()?;
    let (screen, group) = (runtime.serial("screen"), Group::new());
    let start = Deadline::now(Clock::Monotonic) + TICK;
    let hands = [
        Hand { name: "exact", first: start, missed: Missed::Count, leeway: Duration::ZERO },
        Hand { name: "catch up", first: start, missed: Missed::Burst, leeway: Duration::ZERO },
        Hand { name: "patient", first: start + TICK / 2, missed: Missed::Count, leeway: TICK },
    ];
    let hands = hands.into_iter().map(|hand| hand.start(&screen, &group)).collect::<Result<Vec<_>, _>>()?;
    // The time of day is another clock, and somebody may set it.
    let steps = Source::clock_steps(&screen).on_event(|step| println!("the clock was set: {step:?}")).activate()?;

    // Somebody keeps the screen busy for seven ticks. None is lost, and no hand goes out of step.
    screen.exec_async(|| thread::sleep(7 * TICK));
    group.wait();
    drop((hands, steps));

    let statistics = runtime.statistics();
    println!("{} wake-ups; without leeway, {} more", statistics.event_loop_wakeups, statistics.timer_wakeups_saved);
    assert!(start + (TICKS as u32 - 1) * TICK <= Deadline::now(Clock::Monotonic), "no tick is early");
    Ok(())
}
