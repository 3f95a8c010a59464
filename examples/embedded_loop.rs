//! A loop of one's own, around `poll`, that serves the main queue as well as its other descriptors.
//!
//! Windows and terminals have such loops: they own the thread, and what touches the screen must run on it. The work is
//! done on other threads, which hand in what there is to show.

use concourse::Group;
use concourse::Queue;
use concourse::main_queue;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::poll;
use std::error::Error;
use std::io::Read as _;
use std::io::Write as _;
use std::io::pipe;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let screen = thread::current().id();
    let main = main_queue();

    // Another part of the program talks to the loop through a pipe, and closes it when there is nothing more to say.
    let (mut input, mut output) = pipe()?;
    let work = Queue::concurrent("work");
    let group = Group::new();
    for number in 1..=5_u64 {
        let main = main.clone();
        group.exec_async(&work, move || {
            let digits = (1..=number * 10).map(|n| n as f64).product::<f64>().log10() as u64 + 1;
            main.exec_async(move || {
                assert_eq!(thread::current().id(), screen);
                println!("{}! has {digits} digits", number * 10);
            });
        });
    }
    group.notify(&work, move || {
        // The reader hears the end of the pipe even if it never reads this.
        let _ = output.write_all(b"all sums are done");
    });

    let mut open = true;
    while open {
        let jobs = main.as_fd()?;
        let mut ready = [PollFd::new(&jobs, PollFlags::IN), PollFd::new(&input, PollFlags::IN)];
        poll(&mut ready, None)?;
        let [jobs_wait, input_is_ready] = ready.map(|fd| !fd.revents().is_empty());
        if input_is_ready {
            let mut text = [0; 64];
            let length = input.read(&mut text)?;
            open = length > 0;
            println!("{}", String::from_utf8_lossy(if open { &text[..length] } else { b"the pipe is closed" }));
        }
        if jobs_wait {
            // A budget keeps a flood of jobs from starving the other descriptors: what is left is ready at once.
            let ran = main.turn(16)?;
            println!("  ({ran} jobs in this turn)");
        }
    }
    // What came with the end of the pipe.
    main.turn(usize::MAX)?;
    Ok(())
}
