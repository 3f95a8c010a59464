//! The way to the server.

use crate::crash;
use crate::op::Change;
use crate::op::Op;
use crate::wire;
use crate::wire::Health;
use crate::wire::IDEMPOTENCY_KEY;
use crate::wire::Reply;
use std::io::Read as _;
use std::time::Duration;
use ureq::Agent;
use ureq::Body;
use ureq::http::Response;
use ureq::http::header::AUTHORIZATION;
use ureq::http::header::RETRY_AFTER;

/// More of an answer is not read. An acknowledgement is much shorter.
const LONGEST_ANSWER: u64 = 4096;

/// Sends saves, one at a time on each thread; clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    server: String,
    authorization: Option<String>,
}

impl Client {
    /// A client of the server at `server`, that waits for each step of a request for at most `timeout`.
    pub(crate) fn new(server: &str, token: Option<&str>, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Where a portal redirects to is not the server.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Step by step: for a limit to all of it, the name of the server would be looked up on a thread of its own.
            .timeout_connect(Some(timeout))
            .timeout_send_request(Some(timeout))
            .timeout_send_body(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_recv_body(Some(timeout))
            .user_agent(concat!("offline_save_queue/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            server: server.trim_end_matches('/').to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// Sends a save and waits for what comes back.
    pub(crate) fn send(&self, op: &Op) -> Reply {
        crash::point("send.before");
        let url = format!("{}{}", self.server, wire::path(&op.key));
        let answer = match &op.change {
            Change::Put(body) => {
                let request = self.agent.put(url).header(IDEMPOTENCY_KEY, op.idem.as_str());
                let request = request.content_type("application/json");
                match &self.authorization {
                    Some(authorization) => request.header(AUTHORIZATION, authorization).send(body),
                    None => request.send(body),
                }
            }
            Change::Delete => {
                let request = self.agent.delete(url).header(IDEMPOTENCY_KEY, op.idem.as_str());
                match &self.authorization {
                    Some(authorization) => request.header(AUTHORIZATION, authorization).call(),
                    None => request.call(),
                }
            }
        };
        let reply = reply(answer);
        crash::point("send.after");
        reply
    }

    /// Whether the server, and not somebody in its place, is there.
    pub(crate) fn is_there(&self) -> bool {
        match reply(self.agent.get(format!("{}{}", self.server, wire::HEALTH)).call()) {
            Reply::Answer { status: 200, body, .. } => {
                serde_json::from_str(&body).is_ok_and(|health: Health| health.ok)
            }
            _ => false,
        }
    }
}

fn reply(answer: Result<Response<Body>, ureq::Error>) -> Reply {
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => return Reply::Nothing(error.to_string()),
    };
    let mut body = Vec::new();
    if let Err(error) = response.body_mut().as_reader().take(LONGEST_ANSWER).read_to_end(&mut body) {
        return Reply::Nothing(format!("the answer breaks off: {error}"));
    }
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Reply::Answer {
        status: response.status().as_u16(),
        retry_after_s: retry_after.and_then(|seconds| seconds.trim().parse().ok()),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}
