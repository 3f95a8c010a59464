//! A TCP server that sends back what it is sent: sources of descriptors, and not one thread of its own.
//!
//! ```text
//! cargo run --example echo_server                       # ends with its input: press Ctrl-D
//! cargo run --example echo_server -- --connections 3    # ends after three connections
//! cargo run --example echo_server -- --self-test 4      # four clients of its own, which look at every byte
//! ```
//!
//! A connection has a source for each direction. The one that writes is suspended while there is nothing to write, and
//! the one that reads while a client sends faster than it takes back: nobody makes the server hold more than `LIMIT`.

use clap::Parser;
use concourse::Event;
use concourse::Group;
use concourse::Membership;
use concourse::Queue;
use concourse::Source;
use concourse::source::Readable;
use concourse::source::Writable;
use parking_lot::Mutex;
use std::error::Error;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// How many bytes a connection holds at most.
const LIMIT: usize = 64 * 1024;

/// How many bytes a client of the self-test sends.
const SENT: usize = 16 << 20;

#[derive(Parser)]
#[command(about = "Sends back what it is sent")]
struct Arguments {
    /// The port to listen on; 0 for any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End after so many connections
    #[arg(long)]
    connections: Option<usize>,
    /// Serve so many clients of one's own, and check what they get back
    #[arg(long, value_name = "CLIENTS", conflicts_with = "connections")]
    self_test: Option<usize>,
}

/// A connection, and the bytes that its client has not got back. The handlers of its sources have it, so that it is
/// gone when both are cancelled.
struct Connection {
    stream: Arc<TcpStream>,
    bytes: Vec<u8>,
    has_ended: bool,
    reads: Option<Source<Readable<Arc<TcpStream>>>>,
    /// Not suspended: there is room for more.
    is_reading: bool,
    writes: Option<Source<Writable<Arc<TcpStream>>>>,
    /// Not suspended: there is something to write.
    is_writing: bool,
    /// Set when a connection is full.
    full: Event,
    _member: Membership,
}

impl Connection {
    /// Called on `queue`, which is serial: no handler of the connection runs before this returns.
    fn open(queue: &Queue, stream: TcpStream, server: &Server) -> Result<(), Box<dyn Error>> {
        stream.set_nonblocking(true)?;
        let stream = Arc::new(stream);
        let connection = Arc::new(Mutex::new(Self {
            stream: Arc::clone(&stream),
            bytes: Vec::new(),
            has_ended: false,
            reads: None,
            is_reading: true,
            writes: None,
            is_writing: false,
            full: server.full.clone(),
            _member: server.connections.enter(),
        }));
        let (of_reads, of_writes) = (Arc::clone(&connection), Arc::clone(&connection));
        let reads = Source::readable(queue, Arc::clone(&stream)).on_event(move |_| of_reads.lock().turn(Self::read));
        let writes = Source::writable(queue, stream).on_event(move |_| of_writes.lock().turn(Self::write));
        let (reads, writes) = (reads.activate()?, writes.activate()?);
        writes.suspend()?;
        let mut connection = connection.lock();
        (connection.reads, connection.writes) = (Some(reads), Some(writes));
        Ok(())
    }

    /// Reads or writes, and lets the sources go on with what there is to do now.
    fn turn(&mut self, transfer: impl FnOnce(&mut Self) -> io::Result<()>) {
        let (Some(reads), Some(writes)) = (self.reads.clone(), self.writes.clone()) else { return };
        let result = match transfer(self) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result,
        };
        if result.is_err() || (self.has_ended && self.bytes.is_empty()) {
            // The stream is closed with the sources.
            reads.cancel_now();
            writes.cancel_now();
            return;
        }
        let has_room = self.bytes.len() < LIMIT;
        if has_room != self.is_reading {
            self.is_reading = has_room;
            // Each suspension has its resumption: there is no error to come.
            let _ = if has_room { reads.resume() } else { reads.suspend() };
            self.full.set();
        }
        let has_bytes = !self.bytes.is_empty();
        if has_bytes != self.is_writing {
            self.is_writing = has_bytes;
            let _ = if has_bytes { writes.resume() } else { writes.suspend() };
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let room = bytes.len().min(LIMIT - self.bytes.len());
        let count = self.stream.as_ref().read(&mut bytes[..room])?;
        self.bytes.extend_from_slice(&bytes[..count]);
        self.has_ended = count == 0;
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let count = self.stream.as_ref().write(&self.bytes)?;
        self.bytes.drain(..count);
        Ok(())
    }
}

/// What the connections have in common.
#[derive(Clone, Default)]
struct Server {
    connections: Group,
    /// Set when the first of them is full.
    full: Event,
}

/// Listens until `connections` have come, and says so with `enough`.
fn listen(
    server: &Server,
    listener: TcpListener,
    mut connections: usize,
    enough: &Event,
) -> Result<Source<Readable<TcpListener>>, Box<dyn Error>> {
    listener.set_nonblocking(true)?;
    let (server, tell, queue) = (server.clone(), enough.clone(), Queue::serial("com.example.echo"));
    let listening = Source::readable(&queue.clone(), listener).on_ready_with(move |source, listener, _| {
        match listener.accept() {
            Ok((stream, _)) => {
                connections -= 1;
                if let Err(error) = Connection::open(&queue, stream, &server) {
                    eprintln!("a connection is refused: {error}");
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                eprintln!("no more connections: {error}");
                source.cancel();
            }
        }
        if connections == 0 {
            source.cancel();
        }
    });
    Ok(listening.on_cancel(move || tell.set()).activate()?)
}

/// The byte of client `number` at this place.
fn byte(number: usize, place: usize) -> u8 {
    (place.wrapping_mul(31).wrapping_add(place >> 8) ^ number) as u8
}

/// Sends bytes and takes back the same; the odd ones take nothing until the server holds what it can.
fn client(number: usize, address: SocketAddr, full: &Event) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let bytes: Vec<u8> = (0..SENT).map(|place| byte(number, place)).collect();
    let (mut output, mut received) = (stream.try_clone()?, Vec::with_capacity(SENT));
    thread::scope(|scope| {
        let sending = scope.spawn(|| output.write_all(&bytes).and_then(|()| output.shutdown(Shutdown::Write)));
        if number % 2 == 1 {
            full.wait();
        }
        stream.read_to_end(&mut received)?;
        sending.join().map_err(|_| io::Error::other("the sender has panicked"))?
    })?;
    if received == bytes { Ok(()) } else { Err(io::Error::other(format!("client {number} got back something else"))) }
}

fn self_test(clients: usize) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (server, enough, address, start) = (Server::default(), Event::new(), listener.local_addr()?, Instant::now());
    let _listening = listen(&server, listener, clients, &enough)?;
    let start_client = |number| {
        let full = server.full.clone();
        thread::spawn(move || client(number, address, &full))
    };
    let running: Vec<_> = (1..=clients).map(start_client).collect();
    for client in running {
        client.join().map_err(|_| "a client has panicked")??;
    }
    enough.wait();
    server.connections.wait();
    let (megabytes, seconds) = ((clients * SENT) >> 20, start.elapsed().as_secs_f64());
    println!("{clients} clients got back their {megabytes} MiB after {seconds:.2} s");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(clients) = arguments.self_test {
        return self_test(clients.max(1));
    }
    let listener = TcpListener::bind(("127.0.0.1", arguments.port))?;
    println!("listening on {}", listener.local_addr()?);
    let (server, enough) = (Server::default(), Event::new());
    let _listening = listen(&server, listener, arguments.connections.unwrap_or(usize::MAX).max(1), &enough)?;
    let _input = match arguments.connections {
        Some(_) => None,
        None => {
            let tell = enough.clone();
            let input = Source::readable(&Queue::serial("com.example.input"), io::stdin());
            let input = input.on_ready_with(move |source, mut input, _| {
                if !matches!(input.read(&mut [0; 1024]), Ok(count) if count > 0) {
                    source.cancel();
                    tell.set();
                }
            });
            Some(input.activate()?)
        }
    };
    enough.wait();
    if arguments.connections.is_some() {
        // Those that have come are served to their end. The end of the input is everybody's.
        server.connections.wait();
    }
    Ok(())
}
