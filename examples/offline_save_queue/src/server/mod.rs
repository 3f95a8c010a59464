//! A server for saves, to try the queue with: it applies each once, and does wrong on request.
//!
//! Every connection is a job of a concurrent queue that blocks while its client is silent; the runtime puts other threads
//! in the place of those, up to a limit. The journal belongs to a serial queue, whose jobs are the saves in the order in
//! which they are applied.

mod fault;
mod http;
mod journal;

pub(crate) use fault::Fault;
pub(crate) use fault::HELP as FAULTS;
pub(crate) use journal::Entry;
pub(crate) use journal::Line;
pub(crate) use journal::lines;

use crate::failure::Context as _;
use crate::failure::Failure;
use crate::op::LARGEST_BODY;
use crate::wire;
use crate::wire::Ack;
use crate::wire::Health;
use crate::wire::IDEMPOTENCY_KEY;
use crate::wire::Refusal;
use concourse::Queue;
use concourse::Runtime;
use concourse::blocking;
use fault::Faults;
use fault::Kind;
use http::Answer;
use http::Connection;
use http::Incoming;
use http::Request;
use journal::Applied;
use journal::Journal;
use parking_lot::Mutex;
use rustix::net::sockopt::set_socket_linger;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Connections beyond so many wait for their turn.
const MOST_CONNECTIONS: usize = 120;

/// How long the server waits for its address.
const LETTING_GO: Duration = Duration::from_secs(3);

/// How long the server waits before it tries again what the system has refused: an address, a descriptor for a connection.
const BREATH: Duration = Duration::from_millis(50);

/// A server that listens, and has not begun to serve.
pub(crate) struct Server {
    listener: TcpListener,
    shop: Arc<Shop>,
}

/// What all connections share.
struct Shop {
    /// Saves are applied here, one at a time.
    counter: Queue,
    /// Touched only on `counter`, so nobody ever waits for this lock.
    books: Mutex<Books>,
    /// What clients have to show, if anything.
    token: Option<String>,
}

struct Books {
    journal: Journal,
    faults: Faults,
    figures: Figures,
}

/// What the server has done since it began.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Figures {
    applied: u64,
    duplicates: u64,
    faults: u64,
}

/// What a connection does next.
enum Deed {
    Answer(Answer),
    /// The answer, a byte at a time.
    Drip(Answer, Duration),
    Close,
    Reset,
    Hang,
}

/// The threads of a server.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Runtime::builder().threads(2).max_threads(MOST_CONNECTIONS + 8).name("serve").build().context("no threads")
}

impl Server {
    /// Listens at `address` and keeps what is applied in the journal at `log`.
    pub(crate) fn bind(
        runtime: &Runtime,
        address: SocketAddr,
        log: &Path,
        faults: Vec<Fault>,
        token: Option<String>,
    ) -> Result<Self, Failure> {
        let books = Books { journal: Journal::open(log)?, faults: Faults::new(faults), figures: Figures::default() };
        let shop = Arc::new(Shop { counter: runtime.serial("counter"), books: Mutex::new(books), token });
        let listener = listen(address).context(format!("cannot listen at {address}"))?;
        Ok(Self { listener, shop })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        self.listener.local_addr().context("the listener has no address")
    }

    /// Serves until the process ends.
    pub(crate) fn serve(&self, runtime: &Runtime) -> Result<(), Failure> {
        let connections = runtime.queue("connections").concurrent().width(MOST_CONNECTIONS).build();
        let connections = connections.context("no queue")?;
        for stream in self.listener.incoming() {
            let Ok(stream) = stream else {
                thread::sleep(BREATH);
                continue;
            };
            let shop = Arc::clone(&self.shop);
            // However it ends, it is the client's business: it sends again what was not acknowledged.
            connections.exec_async(move || drop(blocking(|| shop.attend(stream))));
        }
        Ok(())
    }
}

/// Listens at `address`. Whoever listened there and was just killed, or passed it on to a process that is just starting, may
/// take a moment to let go of it.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let give_up_at = Instant::now() + LETTING_GO;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up_at => {
                thread::sleep(BREATH)
            }
            listener => return listener,
        }
    }
}

impl Shop {
    /// Answers one client until it goes.
    fn attend(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut connection = Connection::new(stream);
        loop {
            let request = match connection.receive(LARGEST_BODY)? {
                Incoming::Request(request) => request,
                Incoming::Bad(answer) => return connection.send(&answer.to_bytes()),
                Incoming::End => return Ok(()),
            };
            match self.counter.exec_sync(|| self.books.lock().deed(&request, self.token.as_deref())) {
                Deed::Answer(answer) => connection.send(&answer.to_bytes())?,
                Deed::Drip(answer, pause) => {
                    for byte in answer.to_bytes() {
                        connection.send(&[byte])?;
                        thread::sleep(pause);
                    }
                }
                Deed::Close => return Ok(()),
                Deed::Reset => return Ok(set_socket_linger(connection.stream(), Some(Duration::ZERO))?),
                Deed::Hang => {
                    // Until the client has had enough.
                    let _ = io::copy(&mut connection.stream(), &mut io::sink())?;
                    return Ok(());
                }
            }
        }
    }
}

impl Books {
    /// Does what is asked, or what is wrong, and says what the client gets.
    fn deed(&mut self, request: &Request, token: Option<&str>) -> Deed {
        if request.path == wire::HEALTH {
            return match self.faults.hit_health() {
                Some(Kind::Flap(_)) => Deed::Reset,
                Some(_) => Deed::Answer(portal()),
                None => Deed::Answer(Answer::json(200, &Health { ok: true })),
            };
        }
        if request.path == "/figures" {
            return Deed::Answer(Answer::json(200, &self.figures));
        }
        let Some(key) = wire::key(&request.path) else {
            return Deed::Answer(refusal(404, "there is nothing at this path"));
        };
        let given = request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some() && given != token {
            return Deed::Answer(refusal(401, "show the token of this server"));
        }
        if request.method == "GET" {
            return Deed::Answer(match self.journal.object(&key) {
                Some(body) => {
                    Answer { status: 200, retry_after_s: None, content_type: "application/json", body: body.to_owned() }
                }
                None => refusal(404, "there is no such object"),
            });
        }
        let fault = self.faults.hit(&key);
        self.figures.faults += u64::from(fault.is_some());
        match fault {
            None => Deed::Answer(self.apply(request, key)),
            Some(Kind::Slow(pause)) => Deed::Drip(self.apply(request, key), pause),
            Some(Kind::Lost) => {
                self.apply(request, key);
                Deed::Close
            }
            Some(Kind::Status { status, html, retry_after_s }) => {
                let answer = if html {
                    Answer::html(status, "<html>Something is wrong.</html>")
                } else {
                    refusal(status, "a fault, as asked for")
                };
                Deed::Answer(Answer { retry_after_s, ..answer })
            }
            Some(Kind::Html) => Deed::Answer(portal()),
            Some(Kind::Lie) => Deed::Answer(Answer::json(200, &Ack { idem: "another".to_owned(), duplicate: false })),
            Some(Kind::Close) => Deed::Close,
            Some(Kind::Reset | Kind::Flap(_)) => Deed::Reset,
            Some(Kind::Hang) => Deed::Hang,
        }
    }

    /// Applies a save, and says so when it is on the disk.
    fn apply(&mut self, request: &Request, key: String) -> Answer {
        let Some(idem) = request.header(IDEMPOTENCY_KEY).filter(|idem| !idem.is_empty()) else {
            return refusal(400, "a save needs an Idempotency-Key");
        };
        let body = match request.method.as_str() {
            "DELETE" => None,
            "PUT" => match serde_json::from_slice::<Box<RawValue>>(&request.body) {
                Ok(body) => Some(body),
                Err(error) => return refusal(422, &format!("the body is not JSON: {error}")),
            },
            _ => return refusal(405, "PUT and DELETE are understood"),
        };
        let entry = Entry { idem: idem.to_owned(), key, body };
        match self.journal.apply(&entry) {
            Ok(Applied::Now) => {
                self.figures.applied += 1;
                Answer::json(200, &Ack { idem: entry.idem, duplicate: false })
            }
            Ok(Applied::Before) => {
                self.figures.duplicates += 1;
                Answer::json(409, &Ack { idem: entry.idem, duplicate: true })
            }
            Ok(Applied::Mistaken) => refusal(422, "another save has this Idempotency-Key"),
            Err(error) => refusal(500, &format!("the journal cannot be written: {error}")),
        }
    }
}

fn refusal(status: u16, error: &str) -> Answer {
    Answer::json(status, &Refusal { error: error.to_owned() })
}

/// What somebody answers who is not the server.
fn portal() -> Answer {
    Answer::html(200, "<html><title>Sign in</title>Welcome to our network.</html>")
}
