//! An HTTP client on the simulated network: one keep-alive connection.

use super::GUEST;
use crate::http::{Answer, parse_head};
use sim::machine::World;
use sim::peer::{Flow, FlowState};
use std::net::SocketAddrV4;

/// One connection.
#[derive(Debug)]
pub struct Client {
    flow: Flow,
    buffer: Vec<u8>,
    token: Option<String>,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With an answer.
    Answer(Answer),
    /// Without one: nobody knows whether it was done.
    Lost(String),
}

impl Client {
    /// Begins to connect to the guest's HTTP port.
    pub fn connect(world: &mut World) -> Client {
        Client::connect_to(world, GUEST)
    }

    /// Begins to connect to another of its ports.
    pub fn connect_to(world: &mut World, door: SocketAddrV4) -> Client {
        let now_ns = world.domain.now_ns;
        Client {
            flow: world.peer.connect(now_ns, door),
            buffer: Vec::new(),
            token: None,
        }
    }

    /// Has a token sent with each request.
    pub fn present(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Sends a request.
    pub fn ask(&mut self, world: &mut World, method: &str, target: &str, body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: lampion\r\n");
        if matches!(method, "PUT" | "POST") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str("\r\n");
        world.peer.send(self.flow, head.as_bytes());
        world.peer.send(self.flow, body);
    }

    /// The answer to the oldest request, once it is there.
    pub fn answer(&mut self, world: &mut World) -> Option<Outcome> {
        self.buffer.extend(world.peer.received(self.flow));
        match complete(&self.buffer) {
            Ok(Some((answer, len))) => {
                self.buffer.drain(..len);
                return Some(Outcome::Answer(answer));
            }
            Ok(None) => {}
            Err(error) => return Some(Outcome::Lost(error.to_string())),
        }
        match world.peer.state(self.flow) {
            FlowState::Connecting | FlowState::Open => None,
            state => Some(Outcome::Lost(format!("{state:?}"))),
        }
    }

    /// Ends the connection at once.
    pub fn abort(self, world: &mut World) {
        world.peer.abort(self.flow);
    }
}

/// A whole answer and its length; answers without a length are none of this service's.
fn complete(bytes: &[u8]) -> std::io::Result<Option<(Answer, usize)>> {
    let Some((mut answer, head_len)) = parse_head(bytes)? else {
        return Ok(None);
    };
    let without = matches!(answer.status, 204 | 304);
    let len = answer
        .field("content-length")
        .and_then(|len| len.parse().ok());
    let len: usize = if without { 0 } else { len.unwrap_or(0) };
    let Some(body) = bytes.get(head_len..head_len + len) else {
        return Ok(None);
    };
    answer.body = body.to_vec();
    Ok(Some((answer, head_len + len)))
}
