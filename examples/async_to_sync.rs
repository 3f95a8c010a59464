//! A callback API, called as if it were an ordinary function: with its value, its silence, and its death.

use concourse::Dispatch as _;
use concourse::Queue;
use concourse::TimerError;
use concourse::WaitError;
use concourse::wait_for;
use std::time::Duration;

/// A weather service as some library might offer it: it calls back, some time, on a queue of its own.
struct Weather {
    queue: Queue,
}

impl Weather {
    fn ask(&self, city: &'static str, callback: impl FnOnce(i32) + Send + 'static) -> Result<(), TimerError> {
        let latency = Duration::from_millis(match city {
            "Lima" => 300,
            _ => 10,
        });
        // The station on Pluto never answers: the callback is dropped.
        let answers = city != "Pluto";
        let _ = self.queue.after(latency, move || {
            if answers {
                callback(city.len() as i32 * 4);
            }
        })?;
        Ok(())
    }
}

/// Asks, and waits for the answer.
fn temperature(weather: &Weather, city: &'static str, patience: Duration) -> Result<i32, WaitError> {
    wait_for(patience, |done| {
        let asked = weather.ask(city, move |degrees| {
            // An answer that nobody waits for any more comes back.
            if let Err(late) = done.send(degrees) {
                println!("(too late: {city} has {late} degrees)");
            }
        });
        if let Err(error) = asked {
            println!("{error}"); // The callback is gone, which ends the wait at once.
        }
    })
}

fn main() {
    let weather = Weather { queue: Queue::serial("weather") };
    for (city, patience) in [("Oslo", 5000), ("Lima", 50), ("Pluto", 5000), ("Lima", 5000)] {
        match temperature(&weather, city, Duration::from_millis(patience)) {
            Ok(degrees) => println!("{city} has {degrees} degrees"),
            Err(error @ WaitError::TimedOut { .. }) => println!("{city} {error}"),
            Err(error) => println!("{city} does not answer: {error}"),
        }
    }
}
