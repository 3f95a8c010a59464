//! Fetches a site, page by page, until thirty are stored: one request at a time to each host, no more than four pages that
//! wait for the store, and ten seconds at most.
//!
//! The site has no end: each page leads to two others, on three hosts, which are threads of this program. When enough is
//! stored a token calls everything off: requests in their lines, pages before the store, and whoever waits.

use concourse::{Bounded, CancelToken, Group, Isolated, Keyed, Membership, Queue, WhenFull};
use std::collections::HashSet;
use std::error::Error;
use std::io::{self, BufReader, prelude::*};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const WANTED: usize = 30;
const PLACES: NonZeroUsize = NonZeroUsize::new(4).unwrap();
const PATIENCE: Duration = Duration::from_secs(10);

type Page = (SocketAddr, u32);

#[derive(Clone)]
struct Crawl {
    token: CancelToken,
    /// Requests, in line for their hosts.
    hosts: Keyed<SocketAddr>,
    seen: Isolated<HashSet<Page>>,
    /// The way to the store, which is slower than the net: a request that has its page waits for a place.
    store: Bounded,
    stored: Arc<AtomicUsize>,
    under_way: Group,
}

impl Crawl {
    fn visit(&self, page: Page) {
        let (crawl, member) = (self.clone(), self.under_way.enter());
        self.seen.exec_async(move |seen| {
            if seen.insert(page) {
                let (token, hosts) = (crawl.token.clone(), crawl.hosts.clone());
                hosts.exec_async(page.0, token.job(move || crawl.fetch(page, member)));
            }
        });
    }

    fn fetch(&self, page: Page, member: Membership) {
        match get(page) {
            Ok(text) => links(&text).for_each(|link| self.visit(link)),
            Err(error) => return println!("{}/{}: {error}", page.0, page.1),
        }
        let (stored, token) = (Arc::clone(&self.stored), self.token.clone());
        self.store.exec_async(self.token.job(move || {
            thread::sleep(Duration::from_millis(2));
            let number = stored.fetch_add(1, Ordering::Relaxed) + 1;
            println!("{number:2}: http://{}/{}", page.0, page.1);
            if number == WANTED {
                token.cancel();
            }
            drop(member);
        }));
    }
}

fn get((host, number): Page) -> io::Result<String> {
    let (mut stream, mut text) = (TcpStream::connect_timeout(&host, PATIENCE)?, String::new());
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{number} HTTP/1.0\r\n\r\n")?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn links(text: &str) -> impl Iterator<Item = Page> {
    let addresses = text.split("href=\"http://").skip(1).filter_map(|rest| rest.split('"').next()?.split_once('/'));
    addresses.filter_map(|(host, number)| Some((host.parse().ok()?, number.parse().ok()?)))
}

/// One host of the site: page `n` leads to `2n + 1` and `2n + 2`.
fn serve(listener: &TcpListener, hosts: &[SocketAddr]) -> io::Result<()> {
    for stream in listener.incoming() {
        let (mut stream, mut request) = (stream?, String::new());
        BufReader::new(&stream).read_line(&mut request)?;
        let number = request.trim_start_matches("GET /").split(' ').next().and_then(|text| text.parse::<u32>().ok());
        write!(stream, "HTTP/1.0 200 OK\r\n\r\n<h1>{number:?}</h1>")?;
        for next in number.into_iter().flat_map(|number| [2 * number + 1, 2 * number + 2]) {
            write!(stream, "<a href=\"http://{}/{next}\">more</a>", hosts[next as usize % hosts.len()])?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let listeners = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let hosts = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Arc<[_]>>>()?;
    for listener in listeners {
        let hosts = Arc::clone(&hosts);
        thread::spawn(move || serve(&listener, &hosts).inspect_err(|error| eprintln!("a host has ended: {error}")));
    }
    let store = Queue::serial("store");
    let crawl = Crawl {
        token: CancelToken::new().after(PATIENCE)?,
        hosts: Keyed::new(&Queue::builder("requests").concurrent().width(3).build()?),
        seen: Isolated::new(Queue::serial("seen"), HashSet::new()),
        store: Bounded::new(&store, PLACES).when_full(WhenFull::Block),
        stored: Arc::default(),
        under_way: Group::new(),
    };
    crawl.visit((hosts[0], 0));
    // Nothing begins any more from here on, and what is under way comes to its end.
    crawl.token.wait();
    crawl.under_way.wait();
    let (stored, seen) = (crawl.stored.load(Ordering::Relaxed), crawl.seen.exec_sync(|seen| seen.len()));
    println!("{stored} pages stored, {} called off", seen - stored);
    assert!(stored == WANTED && crawl.store.waiting() <= PLACES.get());
    Ok(())
}
