//! A pool of worker processes that outlives its workers: one that ends is started again, and the job that it had in hand is
//! given out once more. The program starts itself as its workers, which read a number a line and answer with its square,
//! and kills one of them on purpose. No thread waits for a process: sources hear the answers, and reap.

use concourse::Queue;
use concourse::Source;
use concourse::source::ChildProcess;
use concourse::source::Readable;
use std::io::BufReader;
use std::io::PipeReader;
use std::io::prelude::*;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;

const WORKERS: usize = 3;
const JOBS: usize = 20;
/// The first worker that is given this number is killed.
const FATED: usize = 7;

struct Worker {
    /// Closed when no job is left, so that the worker ends.
    jobs: Option<ChildStdin>,
    in_hand: Option<usize>,
    process: Source<ChildProcess>,
    _answers: Source<Readable<PipeReader>>,
}

/// What the handler of a port has to itself, which hears all news, one after the other.
struct Pool {
    queue: Queue,
    /// From the worker at this place: a number with its square, or none when the worker has ended.
    news: concourse::source::Sender<(usize, Option<[usize; 2]>)>,
    workers: [Option<Worker>; WORKERS],
    pending: Vec<usize>,
    fated: Option<usize>,
    squares: [usize; JOBS],
    done: std::sync::mpsc::Sender<[usize; JOBS]>,
}

impl Pool {
    fn start(&mut self, place: usize) -> Result<(), Box<dyn std::error::Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("--worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (jobs, output) = (child.stdin.take(), child.stdout.take().ok_or("a worker without output")?);
        let (news, end) = (self.news.clone(), self.news.clone());
        let process = Source::child(&self.queue, child).on_event(move |exit| {
            println!("place {place}: process {} has ended, {:?}", exit.pid, exit.status);
            // A pool that is gone wants no news.
            let _ = end.send((place, None));
        });
        let answers = Source::readable(&self.queue, PipeReader::from(std::os::fd::OwnedFd::from(output)));
        let answers = answers.on_ready_with(move |answers, pipe, _| {
            // A worker has one job at a time and writes its line at once, so that there is one line, and it is whole.
            let mut line = String::new();
            let Ok(1..) = BufReader::new(pipe).read_line(&mut line) else { return answers.cancel() };
            let numbers: Vec<usize> = line.split_whitespace().flat_map(str::parse).collect();
            if let Ok(answer) = <[usize; 2]>::try_from(numbers) {
                let _ = news.send((place, Some(answer)));
            }
        });
        let (process, _answers) = (process.activate()?, answers.activate()?);
        self.workers[place] = Some(Worker { jobs, in_hand: None, process, _answers });
        self.give(place);
        Ok(())
    }

    fn give(&mut self, place: usize) {
        let Some(worker) = &mut self.workers[place] else { return };
        worker.in_hand = self.pending.pop();
        let (Some(number), Some(jobs)) = (worker.in_hand, &mut worker.jobs) else { return worker.jobs = None };
        if self.fated.take_if(|fated| *fated == number).is_some() {
            let _ = worker.process.kill();
        }
        // If the worker is dead, its end brings the job back.
        let _ = writeln!(jobs, "{number}");
    }

    fn hear(&mut self, place: usize, answer: Option<[usize; 2]>) {
        let Some(worker) = &mut self.workers[place] else { return };
        if let Some([number, square]) = answer {
            self.squares[number] = square;
            // Another number is the last word of an earlier worker at this place.
            if worker.in_hand == Some(number) {
                self.give(place);
            }
            return;
        }
        self.pending.extend(worker.in_hand);
        self.workers[place] = None;
        if !self.pending.is_empty() {
            self.start(place).unwrap_or_else(|error| eprintln!("place {place} stays empty: {error}"));
        }
        if self.workers.iter().all(Option::is_none) {
            let _ = self.done.send(self.squares);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().any(|argument| argument == "--worker") {
        for line in std::io::stdin().lines() {
            let number: usize = line?.parse()?;
            println!("{number} {}", number * number);
        }
        return Ok(());
    }
    let (queue, (done, squares)) = (Queue::serial("pool"), std::sync::mpsc::channel());
    let (port, workers) = (Source::port(&queue), [const { None }; WORKERS]);
    let (news, pending) = (port.sender(), (0..JOBS).rev().collect());
    let mut pool = Pool { queue, news, workers, pending, fated: Some(FATED), squares: [usize::MAX; JOBS], done };
    (0..WORKERS).try_for_each(|place| pool.start(place))?;
    let _port = port.on_event(move |all| all.for_each(|(place, answer)| pool.hear(place, answer))).activate()?;
    let squares = squares.recv()?;
    assert!((0..JOBS).all(|number| squares[number] == number * number), "a job has been lost: {squares:?}");
    println!("{JOBS} squares, and none was lost with its worker");
    Ok(())
}
