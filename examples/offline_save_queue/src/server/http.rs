//! As much of HTTP/1.1 as the server needs: requests with a length, answers with a length, connections that stay.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;

/// A request with more before its body is not for us.
const LONGEST_HEAD: usize = 16 << 10;

/// What somebody wants.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The value of a header, whatever the case of its name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(head).ok().filter(httparse::Status::is_complete)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Some(Self {
            method: request.method?.to_owned(),
            path: request.path?.to_owned(),
            headers: request.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
            body: Vec::new(),
        })
    }
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after_s: Option<u64>,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(status: u16, value: &impl serde::Serialize) -> Self {
        // The types of the wire have string keys only, and so are always JSON.
        let body = serde_json::to_string(value).unwrap_or_default();
        Self { status, retry_after_s: None, content_type: "application/json", body }
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        Self { status, retry_after_s: None, content_type: "text/html", body: body.to_owned() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Self { status, retry_after_s, content_type, body } = self;
        let retry_after = retry_after_s.map_or_else(String::new, |seconds| format!("Retry-After: {seconds}\r\n"));
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\n{retry_after}Content-Length: {length}\r\n\r\n{body}",
            phrase(*status)
        );
        head.into_bytes()
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// One client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has come and was not asked for yet.
    ahead: Vec<u8>,
}

/// What comes next on a connection.
pub(super) enum Incoming {
    Request(Request),
    /// What came is answered with this, and the connection ends.
    Bad(Answer),
    /// The client is gone.
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Waits for the next request. A body longer than `longest_body` is refused.
    pub(super) fn receive(&mut self, longest_body: usize) -> io::Result<Incoming> {
        let head = loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.ahead.drain(..end + 4).collect::<Vec<_>>();
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Ok(Incoming::Bad(Answer::html(400, "too long")));
            }
            if self.fill()? == 0 {
                return Ok(Incoming::End);
            }
        };
        let Some(mut request) = Request::parse(&head) else {
            return Ok(Incoming::Bad(Answer::html(400, "not HTTP")));
        };
        if request.header("Transfer-Encoding").is_some() {
            return Ok(Incoming::Bad(Answer::html(411, "send a Content-Length")));
        }
        let length: usize = match request.header("Content-Length").map(str::parse) {
            None => 0,
            Some(Ok(length)) if length <= longest_body => length,
            Some(_) => return Ok(Incoming::Bad(Answer::html(413, "too long"))),
        };
        if request.header("Expect").is_some() {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while self.ahead.len() < length {
            if self.fill()? == 0 {
                return Ok(Incoming::End);
            }
        }
        request.body = self.ahead.drain(..length).collect();
        Ok(Incoming::Request(request))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 8192];
        let read = self.stream.read(&mut chunk)?;
        self.ahead.extend_from_slice(&chunk[..read]);
        Ok(read)
    }
}
