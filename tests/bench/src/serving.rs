//! Service and store: whole requests on one connection, without TCP.

use crate::storing::{NOW, disk, filled, key, value};
use crate::wire::Wire;
use service::{Config, Connection, Plane, Progress, Service};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

struct Bench {
    service: Service,
    connection: Connection,
    wire: Wire,
}

fn begin(size: usize) -> Bench {
    let mut config = Config::default();
    config.set("auth", "open").expect("a mode");
    let store = filled(&disk(), size);
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
    Bench {
        service: Service::new(config, store),
        connection: Connection::new(peer, Plane::Data, NOW),
        wire: Wire::default(),
    }
}

impl Bench {
    /// Says it, and takes the answer, which begins as told.
    fn ask(&mut self, request: &[u8], answer: &[u8; 13]) {
        self.wire.say(request);
        loop {
            let wire = &mut self.wire;
            match self.connection.step(&mut self.service, wire, NOW) {
                Progress::Peer { .. } if self.wire.is_heard() => break,
                Progress::Finish | Progress::Abort => panic!("the connection is over"),
                Progress::Store { .. } | Progress::Change { .. } => {
                    self.service.step_store(NOW);
                }
                Progress::Again | Progress::Peer { .. } | Progress::Session { .. } => {}
            }
        }
        assert_eq!(self.wire.answer, *answer);
    }
}

/// A value that was asked for before.
pub(crate) fn get(size: usize, times: usize) {
    let mut bench = begin(size);
    let target = key(size / 2);
    let request = format!("GET /kv/b/{target} HTTP/1.1\r\nHost: h\r\n\r\n");
    for _ in 0..=times {
        bench.ask(request.as_bytes(), b"HTTP/1.1 200 ");
    }
}

/// New keys, one to a flush.
pub(crate) fn put(size: usize, times: usize) {
    let mut bench = begin(size);
    for number in size..size + times {
        let target = key(number);
        let head = format!("PUT /kv/b/{target} HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
        let request = [head.as_bytes(), &value(number)].concat();
        bench.ask(&request, b"HTTP/1.1 201 ");
    }
}
