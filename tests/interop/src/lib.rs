//! Other executors as the scenarios of this package see them: [`Tokio`] and [`Smol`], each with its own threads, timers
//! and sockets.
//!
//! A scenario is a function over a [`Peer`]; [`under_each_peer!`] makes a test of it under each.

use futures_lite::future;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::thread::yield_now;
use std::time::Duration;
use std::time::Instant;

/// Long enough that a machine which is busy with something else gets there.
pub const GENEROUS: Duration = Duration::from_secs(60);

/// An executor that is not Concourse's.
pub trait Peer: 'static {
    /// Runs a future on the calling thread, with the peer's timers and sockets at hand.
    fn block_on<F: Future>(future: F) -> F::Output;

    /// Runs a future on the peer's own threads. A panic goes on in whoever awaits it.
    fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> + Send;

    /// Gives a future that somebody else polls the peer's timers and sockets.
    fn inside<F: Future + Send>(future: F) -> impl Future<Output = F::Output> + Send;

    /// Waits on the peer's own timer.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;

    /// Sends one line back to one caller, over the peer's own socket. The address comes first.
    fn echo() -> io::Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send + 'static)>;

    /// Sends a line, and returns what comes back.
    fn call(to: SocketAddr, line: &str) -> impl Future<Output = io::Result<String>> + Send;
}

/// `first`, or nothing if `limit` is ready before it, which drops it as `select!` does.
pub async fn before<T>(limit: impl Future<Output = ()>, first: impl Future<Output = T>) -> Option<T> {
    future::or(async { Some(first.await) }, async {
        limit.await;
        None
    })
    .await
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// If that takes longer than [`GENEROUS`].
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "not {what} after {GENEROUS:?}");
        yield_now();
    }
}

/// [tokio](https://docs.rs/tokio), which has its timers and sockets only inside a runtime that is entered.
#[derive(Debug)]
pub struct Tokio;

static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the test's own runtime starts")
});

impl Peer for Tokio {
    fn block_on<F: Future>(future: F) -> F::Output {
        TOKIO.block_on(future)
    }

    fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> + Send {
        let handle = TOKIO.spawn(future);
        async { handle.await.unwrap_or_else(|error| resume_unwind(error.into_panic())) }
    }

    fn inside<F: Future + Send>(future: F) -> impl Future<Output = F::Output> + Send {
        let mut future = Box::pin(future);
        future::poll_fn(move |context| {
            let _entered = TOKIO.enter();
            future.as_mut().poll(context)
        })
    }

    async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn echo() -> io::Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send + 'static)> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok((address, async move {
            use tokio::io::AsyncBufReadExt;
            use tokio::io::AsyncWriteExt;

            listener.set_nonblocking(true)?;
            let (stream, _) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
            let mut stream = tokio::io::BufStream::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            stream.write_all(line.as_bytes()).await?;
            stream.flush().await
        }))
    }

    async fn call(to: SocketAddr, line: &str) -> io::Result<String> {
        use tokio::io::AsyncReadExt;
        use tokio::io::AsyncWriteExt;

        let mut stream = tokio::net::TcpStream::connect(to).await?;
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// [smol](https://docs.rs/smol), whose timers and sockets work anywhere.
#[derive(Debug)]
pub struct Smol;

impl Peer for Smol {
    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }

    fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> + Send {
        smol::spawn(future)
    }

    fn inside<F: Future + Send>(future: F) -> impl Future<Output = F::Output> + Send {
        future
    }

    async fn sleep(time: Duration) {
        smol::Timer::after(time).await;
    }

    fn echo() -> io::Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send + 'static)> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok((address, async move {
            use futures_lite::AsyncBufReadExt;
            use futures_lite::AsyncWriteExt;

            let (mut stream, _) = smol::net::TcpListener::try_from(listener)?.accept().await?;
            let mut line = String::new();
            futures_lite::io::BufReader::new(&mut stream).read_line(&mut line).await?;
            stream.write_all(line.as_bytes()).await
        }))
    }

    async fn call(to: SocketAddr, line: &str) -> io::Result<String> {
        use futures_lite::AsyncReadExt;
        use futures_lite::AsyncWriteExt;

        let mut stream = smol::net::TcpStream::connect(to).await?;
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// Makes a test of each scenario under each peer.
#[macro_export]
macro_rules! under_each_peer {
    ($($scenario:ident)*) => {
        mod tokio {
            $(#[test] fn $scenario() { super::$scenario::<$crate::Tokio>(); })*
        }

        mod smol {
            $(#[test] fn $scenario() { super::$scenario::<$crate::Smol>(); })*
        }
    };
}
