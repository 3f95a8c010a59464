//! Random programs against a simple oracle.
//!
//! Each round builds a runtime with a few queues, some of which target others, and lets four threads submit, sync, suspend, cancel and group at random,
//! while a fifth shuts the runtime down at some time. Whatever happens in between: every closure runs or is reported,
//! nobody enters a queue who must stay outside, each thread's jobs keep their order, and everything comes to an end.
//!
//! `CONCOURSE_SEED` repeats a program, whose threads then interleave anew; `CONCOURSE_ROUNDS` says how many follow it.

use concourse::Dispatch;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Threads that act at random.
const ACTORS: usize = 4;

/// No round takes so long unless it hangs.
const GENEROUS: Duration = Duration::from_secs(60);

/// A generator of random numbers: splitmix64.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    fn fork(&mut self) -> Self {
        Self(self.roll())
    }
}

/// What became of all closures of a round.
#[derive(Debug, Default)]
struct Account {
    submitted: AtomicU64,
    ran: AtomicU64,
    discarded: AtomicU64,
    /// Timers that were taken back by whoever had armed them: nobody reports those.
    cancelled: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
    panics: AtomicU64,
    mistakes: Mutex<Vec<String>>,
}

impl Account {
    fn mistake(&self, text: String) {
        self.mistakes.lock().unwrap().push(text);
    }
}

/// Goes with each closure, and notes whether it runs or is dropped.
struct Voucher {
    account: Arc<Account>,
    ran: bool,
}

impl Voucher {
    fn new(account: &Arc<Account>) -> Self {
        account.submitted.fetch_add(1, SeqCst);
        Self { account: Arc::clone(account), ran: false }
    }

    fn spend(mut self) {
        self.ran = true;
        self.account.ran.fetch_add(1, SeqCst);
    }
}

impl Drop for Voucher {
    fn drop(&mut self) {
        if !self.ran {
            self.account.discarded.fetch_add(1, SeqCst);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Shared,
    Alone,
}

/// A queue, and who is in it.
struct Room {
    queue: Queue,
    /// The number of the room that the queue targets, which is higher than its own.
    target: Option<usize>,
    serial: bool,
    width: u64,
    /// How many share it; the high bit says that somebody is alone in it.
    inside: AtomicU64,
    /// Changed in two steps by those who are alone.
    visits: AtomicU64,
    /// How often somebody was alone in it, counted for sure.
    entered: AtomicU64,
    /// The last number of each actor, changed by those who are alone.
    last: [AtomicU64; ACTORS],
    /// The next number of each actor.
    next: [AtomicU64; ACTORS],
}

const ALONE: u64 = 1 << 63;

impl Room {
    /// How a plain job enters.
    fn access(&self) -> Access {
        if self.serial { Access::Alone } else { Access::Shared }
    }

    /// Enters, looks around, and leaves by dropping the result.
    fn enter(&self, number: usize, access: Access, account: &Account) -> Visit<'_> {
        let label = self.queue.label();
        if access == Access::Alone {
            let before = self.inside.fetch_or(ALONE, SeqCst);
            if before != 0 {
                account.mistake(format!("{label}: alone with {before:#x}"));
            }
            self.entered.fetch_add(1, SeqCst);
            self.visits.store(self.visits.load(Relaxed) + 1, Relaxed);
        } else {
            let before = self.inside.fetch_add(1, SeqCst);
            if before & ALONE != 0 {
                account.mistake(format!("{label}: shared with somebody alone"));
            } else if before >= self.width {
                account.mistake(format!("{label}: {before} before, of at most {}", self.width));
            }
        }
        if access == Access::Shared {
            SHARED.with_borrow_mut(|shared| shared.push(number));
        }
        Visit { room: self, number, access }
    }

    /// Checks the order of one actor's jobs, alone in the room.
    fn check_order(&self, actor: usize, number: u64, account: &Account) {
        let last = self.last[actor].load(Relaxed);
        if last >= number {
            account.mistake(format!("{}: {number} of actor {actor} after {last}", self.queue.label()));
        }
        self.last[actor].store(number, Relaxed);
    }
}

thread_local! {
    /// The rooms that the thread shares. What it runs while it waits inside of one of them runs in its place there.
    static SHARED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

struct Visit<'a> {
    room: &'a Room,
    number: usize,
    access: Access,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.access == Access::Alone {
            self.room.inside.fetch_and(!ALONE, SeqCst);
            return;
        }
        self.room.inside.fetch_sub(1, SeqCst);
        SHARED.with_borrow_mut(|shared| {
            let place = shared.iter().rposition(|number| *number == self.number).unwrap();
            shared.remove(place);
        });
    }
}

/// A round.
struct Program {
    rooms: Vec<Room>,
    upwards: bool,
    account: Arc<Account>,
    group: Group,
}

impl Program {
    /// Enters a room, and those that it stands on, which a job there occupies as well; up to one that the visitor's own job
    /// in room `from`, or a job further down the thread's stack, shares already.
    fn enter(&self, from: Option<usize>, at: usize, access: Access) -> Vec<Visit<'_>> {
        let mut visits = Vec::new();
        for number in self.chain(at) {
            let access = if number == at { access } else { self.rooms[number].access() };
            let is_shared = SHARED.with_borrow(|shared| shared.contains(&number));
            if is_shared || from.is_some_and(|from| self.chain(from).any(|occupied| occupied == number)) {
                break;
            }
            visits.push(self.rooms[number].enter(number, access, &self.account));
        }
        visits
    }

    /// The room and those that it stands on.
    fn chain(&self, at: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(at), |number| self.rooms[*number].target)
    }

    /// True if a job in room `at` may wait for room `other`: all jobs of a round come to rooms in one order, upwards from all
    /// that they occupy or downwards, so that no two wait for each other. Downwards they share what both rooms stand on.
    fn may_wait(&self, at: usize, other: usize) -> bool {
        if self.upwards {
            return self.chain(at).all(|occupied| occupied < other);
        }
        other < at && self.chain(other).all(|needed| needed < at || self.chain(at).any(|occupied| occupied == needed))
    }

    /// Submits a job from an actor itself, whose jobs must keep their order.
    fn submit(self: &Arc<Self>, dice: &mut Dice, actor: usize, at: usize) {
        let room = &self.rooms[at];
        let access = if dice.below(4) == 0 { Access::Alone } else { room.access() };
        let barrier = access == Access::Alone && !room.serial;
        let ordered = access == Access::Alone;
        let number = if ordered { room.next[actor].fetch_add(1, SeqCst) + 1 } else { 0 };
        let (program, dice_of_job) = (Arc::clone(self), dice.fork());
        let voucher = Voucher::new(&self.account);
        let job = move || program.run(voucher, dice_of_job, at, access, ordered.then_some((actor, number)), 2);
        if barrier {
            room.queue.barrier_async(job);
        } else if dice.below(3) == 0 {
            self.group.exec_async(&room.queue, job);
        } else {
            room.queue.exec_async(job);
        }
    }

    /// Submits a job of a job.
    fn submit_child(self: &Arc<Self>, dice: &mut Dice, at: usize, depth: usize) {
        let (program, dice_of_job, access) = (Arc::clone(self), dice.fork(), self.rooms[at].access());
        let voucher = Voucher::new(&self.account);
        self.rooms[at].queue.exec_async(move || program.run(voucher, dice_of_job, at, access, None, depth));
    }

    /// The body of every job.
    fn run(
        self: &Arc<Self>,
        voucher: Voucher,
        mut dice: Dice,
        at: usize,
        access: Access,
        place: Option<(usize, u64)>,
        depth: usize,
    ) {
        let room = &self.rooms[at];
        let visit = self.enter(None, at, access);
        if let Some((actor, number)) = place {
            room.check_order(actor, number, &self.account);
        }
        voucher.spend();
        let other = dice.below(self.rooms.len());
        match dice.below(12) {
            0 if depth > 0 => self.submit_child(&mut dice, other, depth - 1),
            1 if depth > 0 => (0..3).for_each(|_| self.submit_child(&mut dice, at, depth - 1)),
            2 if self.is_held_alone(at, access, other) => self.be_refused(at, other),
            2 if self.may_wait(at, other) => self.sync(&mut dice, Some(at), other),
            3 if self.may_wait(at, other) => _ = self.rooms[other].queue.cancel_pending(),
            4 => _ = room.queue.cancel_pending(),
            5 => {
                let again = room.queue.try_exec_sync(|| ()).is_ok();
                if again != (access == Access::Shared) {
                    self.account.mistake(format!("{}: {access:?} and again: {again}", room.queue.label()));
                }
            }
            6 => {
                let guard = room.queue.suspend_guard().unwrap();
                thread::yield_now();
                drop(guard);
            }
            7 => thread::yield_now(),
            8 => {
                drop(visit);
                self.account.panics.fetch_add(1, SeqCst);
                std::panic::resume_unwind(Box::new("at random"));
            }
            _ => {}
        }
    }

    /// Visits a room in person.
    fn sync(&self, dice: &mut Dice, from: Option<usize>, at: usize) {
        let room = &self.rooms[at];
        let visit = |access| drop(self.enter(from, at, access));
        match dice.below(4) {
            0 => room.queue.barrier_sync(|| visit(Access::Alone)),
            1 => room.queue.exec_and_wait(|| visit(room.access())),
            _ => room.queue.exec_sync(|| visit(room.access())),
        }
    }

    /// True if a job in room `at` occupies a room alone that a visitor of room `other` needs too.
    fn is_held_alone(&self, at: usize, access: Access, other: usize) -> bool {
        let common = self.chain(other).find(|number| self.chain(at).any(|held| held == *number));
        common.is_some_and(|common| if common == at { access == Access::Alone } else { self.rooms[common].serial })
    }

    fn be_refused(&self, at: usize, other: usize) {
        if self.rooms[other].queue.try_exec_sync(|| ()).is_ok() {
            self.account.mistake(format!("{at} holds what {other} needs, and was let in"));
        }
    }

    fn act(self: &Arc<Self>, dice: &mut Dice, actor: usize) {
        let at = dice.below(self.rooms.len());
        let queue = &self.rooms[at].queue;
        match dice.below(16) {
            0..8 => self.submit(dice, actor, at),
            8..11 => self.sync(dice, None, at),
            11 => _ = queue.cancel_pending(),
            12 | 13 => {
                // Nothing here may wait for a queue while one is held.
                queue.suspend().unwrap();
                (0..dice.below(5)).for_each(|_| self.submit(dice, actor, at));
                if dice.below(4) == 0 {
                    queue.cancel_pending();
                }
                queue.resume().unwrap();
            }
            14 => {
                let voucher = Voucher::new(&self.account);
                let delay = Duration::from_micros(dice.below(200) as u64);
                let armed = queue.after(delay, move || voucher.spend()).unwrap();
                if dice.below(2) == 0 {
                    self.account.cancelled.fetch_add(u64::from(armed.cancel()), SeqCst);
                }
            }
            _ => thread::yield_now(),
        }
    }
}

fn round(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let account = Arc::new(Account::default());
    let threads = 1 + dice.below(3);
    let max_threads = if dice.below(2) == 0 { threads } else { 64 };
    let [dropped, rejected] = [0, 1].map(|_| Arc::clone(&account));
    let runtime = Runtime::builder()
        .threads(threads)
        .max_threads(max_threads)
        .on_dropped(move |_| _ = dropped.dropped.fetch_add(1, SeqCst))
        .on_rejected(move |_| _ = rejected.rejected.fetch_add(1, SeqCst))
        .build()
        .unwrap();
    let mut rooms: Vec<Room> = Vec::new();
    let last = dice.below(6);
    for number in (0..=last).rev() {
        let (serial, bounded) = (dice.below(2) == 0, dice.below(2) == 0);
        let mut builder = runtime.queue(&format!("room {number}"));
        let target = (number < last && dice.below(2) == 0).then(|| number + 1 + dice.below(last - number));
        if let Some(target) = target {
            builder = builder.target(&rooms[last - target].queue);
        }
        let (builder, width) = match (serial, bounded, 1 + dice.below(4)) {
            (true, ..) => (builder, 1),
            (false, true, width) => (builder.concurrent().width(width), width as u64),
            (false, false, _) => (builder.concurrent(), u64::MAX),
        };
        rooms.push(Room {
            queue: builder.build().unwrap(),
            target,
            serial,
            width,
            inside: AtomicU64::new(0),
            visits: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            last: Default::default(),
            next: Default::default(),
        });
    }
    rooms.reverse();
    let program =
        Arc::new(Program { rooms, upwards: dice.below(2) == 0, account: Arc::clone(&account), group: Group::new() });
    let how = if dice.below(2) == 0 { Shutdown::Drain } else { Shutdown::CancelPending };
    let early = dice.below(3) == 0;
    let actions = 20 + dice.below(60);
    let report = thread::scope(|scope| {
        let actors: Vec<_> = (0..ACTORS)
            .map(|actor| {
                let (program, mut dice) = (&program, dice.fork());
                scope.spawn(move || (0..actions).for_each(|_| program.act(&mut dice, actor)))
            })
            .collect();
        if early {
            return runtime.shutdown(how);
        }
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        runtime.shutdown(how)
    });
    program.group.wait();
    // What came during an early end may be in a queue whose last token was refused: the actors' last calls saw to that.
    for room in &program.rooms {
        let visits = room.queue.barrier_sync(|| room.visits.load(Relaxed));
        if visits != room.entered.load(SeqCst) {
            account.mistake(format!("{}: {visits} visits of {:?}", room.queue.label(), room.entered));
        }
    }
    drop(program);
    let last = runtime.shutdown(how);
    drop(runtime);
    let read = |count: &AtomicU64| count.load(SeqCst);
    let lost = read(&account.dropped) + read(&account.rejected);
    let mut mistakes = std::mem::take(&mut *account.mistakes.lock().unwrap());
    if read(&account.ran) + lost + read(&account.cancelled) != read(&account.submitted) {
        mistakes.push("the account does not balance".into());
    }
    if read(&account.discarded) != lost + read(&account.cancelled) {
        mistakes.push("reports differ from what was discarded".into());
    }
    if (last.dropped, last.rejected) != (read(&account.dropped), read(&account.rejected)) {
        mistakes.push("the runtime counts otherwise".into());
    }
    if last.panics != read(&account.panics) {
        mistakes.push(format!("{} panics reported", last.panics));
    }
    // Early on somebody may have just suspended a queue.
    let held_back = early && !report.suspended.is_empty();
    if report.still_running > 0 || report.complete == held_back || !last.complete {
        mistakes.push("not complete".into());
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(format!("{mistakes:#?}\n{account:?}\n{report:?}\n{last:?}, {threads} threads, at most {max_threads}"))
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

#[test]
fn random_programs_keep_every_promise() {
    let seed = number_from("CONCOURSE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let rounds = number_from("CONCOURSE_ROUNDS").unwrap_or(300);
    for seed in (0..rounds).map(|round| seed.wrapping_add(round)) {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(round(seed)));
        match told.recv_timeout(GENEROUS) {
            Ok(Ok(())) => {}
            Ok(Err(mistakes)) => panic!("CONCOURSE_SEED={seed}: {mistakes}"),
            Err(silence) => panic!("CONCOURSE_SEED={seed}: {silence}"),
        }
    }
}
