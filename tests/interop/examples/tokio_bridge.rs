//! A service on tokio whose state and heavy work belong to queues: each side does what it is good at.
//!
//! Connections are tokio's, one task each. What they count lives on a serial queue, without a lock; what takes long, here
//! a sum of digits, runs on a concurrent queue, a few at a time, and is awaited. A future that a queue polls uses tokio's
//! timer, since its runtime is entered at every poll. `cargo run -p concourse-interop --example tokio_bridge`

use concourse::Isolated;
use concourse::Queue;
use concourse::Semaphore;
use std::error::Error;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// Polls `future`, on whatever thread, with tokio's timers and sockets at hand.
fn entered<F: Future + Send>(tokio: Handle, future: F) -> impl Future<Output = F::Output> + Send {
    let mut future = Box::pin(future);
    poll_fn(move |context| {
        let _entered = tokio.enter();
        future.as_mut().poll(context)
    })
}

/// What all connections share.
#[derive(Clone)]
struct Service {
    served: Isolated<u64>,
    work: Queue,
    slots: Semaphore,
}

impl Service {
    /// Answers each line with the sum of the digits of its factorial.
    async fn serve(self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            // Fair with everybody else who waits, future or thread.
            let permit = self.slots.acquire_async().await;
            let n = line.trim().parse().unwrap_or(0);
            let sum = self.work.submit(move || digits_of_factorial(n)).await.map_err(io::Error::other)?;
            drop(permit);
            self.served.exec_async(|served| *served += 1);
            stream.write_all(format!("{sum}\n").as_bytes()).await?;
            line.clear();
        }
        Ok(())
    }
}

fn digits_of_factorial(n: u32) -> u32 {
    let mut digits = vec![1_u32];
    for factor in 2..=n {
        let mut carry = 0;
        for digit in &mut digits {
            carry += *digit * factor;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().sum()
}

/// Asks for one number on a connection of its own.
async fn ask(address: std::net::SocketAddr, n: u32) -> io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(format!("{n}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer.trim().to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Service {
        served: Isolated::new(Queue::serial("com.example.served"), 0),
        work: Queue::concurrent("com.example.work"),
        slots: Semaphore::new(2),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let accepting = tokio::spawn({
        let service = service.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(service.clone().serve(stream));
            }
        }
    });

    // A queue polls this one: it stays on the queue across tokio's timer and sockets.
    let clock = Queue::serial("com.example.clock");
    let patient = clock.spawn(entered(Handle::current(), async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ask(address, 100).await
    }));
    let callers: Vec<_> = (1..=20).map(|n| tokio::spawn(ask(address, n * 10))).collect();
    for (caller, n) in callers.into_iter().zip(1..) {
        println!("{}! has digits that sum up to {}", n * 10, caller.await??);
    }
    println!("and on a queue, 100! has digits that sum up to {}", patient.await??);
    println!("{} lines served", service.served.exec_sync(|served| *served));
    accepting.abort();
    Ok(())
}
