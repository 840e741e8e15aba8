//! Redis, by its socket: its server is counted, not this client.

use crate::{Engine, Key, Value};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take, of a server that valgrind runs.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Redis {
    server: BufReader<UnixStream>,
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    write!(out, "*{}\r\n", words.len()).expect("memory takes it");
    for word in words {
        write!(out, "${}\r\n", word.len()).expect("memory takes it");
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

impl Redis {
    pub(crate) fn new(socket: &Path) -> Redis {
        let stream = UnixStream::connect(socket).expect("a server that listens");
        let bounded = stream.set_read_timeout(Some(PATIENCE));
        bounded.expect("a time that is not zero");
        Redis {
            server: BufReader::new(stream),
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.server.get_mut().write_all(bytes).expect("it listens");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.server.read_line(&mut line).expect("an answer");
        line
    }

    /// A bulk string (RESP2).
    fn bulk(&mut self) -> Vec<u8> {
        let head = self.line();
        let len = head
            .strip_prefix('$')
            .and_then(|len| len.trim().parse().ok());
        let len: usize = len.unwrap_or_else(|| panic!("{head}"));
        let mut bytes = vec![0; len + 2];
        self.server.read_exact(&mut bytes).expect("all of it");
        bytes.truncate(len);
        bytes
    }
}

impl Engine for Redis {
    /// Pipelined, as it would read them from so many clients at once.
    fn commit(&mut self, puts: &[(Key, Value)]) {
        let mut out = Vec::new();
        for (key, value) in puts {
            command(&mut out, &[b"SET", key, value]);
        }
        self.say(&out);
        for _ in puts {
            assert_eq!(self.line(), "+OK\r\n");
        }
    }

    fn get(&mut self, key: &Key) -> Value {
        let mut out = Vec::new();
        command(&mut out, &[b"GET", key]);
        self.say(&out);
        self.bulk()[..].try_into().expect("64 bytes")
    }

    /// It reads its log again.
    fn open_again(&mut self) {
        let mut out = Vec::new();
        command(&mut out, &[b"DEBUG", b"LOADAOF"]);
        self.say(&out);
        assert_eq!(self.line(), "+OK\r\n");
    }

    fn written_bytes(&mut self) -> u64 {
        let mut out = Vec::new();
        command(&mut out, &[b"INFO", b"persistence"]);
        self.say(&out);
        let text = String::from_utf8(self.bulk()).expect("text");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("aof_current_size:"));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("{text}"))
    }
}

impl Drop for Redis {
    /// Who counts it waits for its end.
    fn drop(&mut self) {
        let mut out = Vec::new();
        command(&mut out, &[b"SHUTDOWN", b"NOSAVE"]);
        self.say(&out);
    }
}
