//! A small HTTP client that shows what is on the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest silence that is taken for an answer still coming.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// One keep-alive connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a metric without labels, in an answer that has metrics.
    ///
    /// # Panics
    /// When there is no such metric.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no metric {name} in:\n{text}"));
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// The first field of that name (in lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(field, _)| field == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The operating system's.
    pub fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Waits less for an answer.
    ///
    /// # Errors
    /// The operating system's.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The operating system's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// One request with its answer.
    ///
    /// # Errors
    /// The operating system's, or `InvalidData` for what is no HTTP.
    pub fn request(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
        self.request_with(method, target, &[], body)
    }

    /// One request with more fields.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn request_with(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: lampion\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if matches!(method, "PUT" | "POST") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes)?;
        self.answer(method == "HEAD")
    }

    /// The next answer.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn answer(&mut self, without_body: bool) -> io::Result<Answer> {
        let (mut answer, head_len) = loop {
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
            self.fill()?;
        };
        self.buffer.drain(..head_len);
        let len = answer
            .field("content-length")
            .and_then(|len| len.parse::<usize>().ok());
        let none = without_body || answer.status == 204 || answer.status == 304;
        let chunked = answer.field("transfer-encoding") == Some("chunked");
        match len {
            _ if none => {}
            _ if chunked => answer.body = self.chunks()?,
            Some(len) => {
                while self.buffer.len() < len {
                    self.fill()?;
                }
                answer.body = self.buffer.drain(..len).collect();
            }
            None => {
                while self.fill().is_ok() {}
                answer.body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(answer)
    }

    /// A body in chunks (RFC 9112 section 7.1).
    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let invalid = || io::Error::new(ErrorKind::InvalidData, "no chunk's size");
        let mut body = Vec::new();
        loop {
            let size = loop {
                let end = self.buffer.windows(2).position(|two| two == b"\r\n");
                if let Some(end) = end {
                    break self.buffer.drain(..end + 2).collect::<Vec<u8>>();
                }
                self.fill()?;
            };
            let size = str::from_utf8(&size).map_err(|_| invalid())?;
            let size = usize::from_str_radix(size.trim_end(), 16).map_err(|_| invalid())?;
            while self.buffer.len() < size + 2 {
                self.fill()?;
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Whether the other side ends the connection, by FIN or RST, within the time-out.
    pub fn ends(&mut self) -> bool {
        loop {
            match self.fill() {
                Ok(()) => self.buffer.clear(),
                Err(error) => {
                    return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                }
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
        }
    }
}

pub(crate) fn parse_head(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
    match response.parse(bytes).map_err(invalid)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(len) => {
            let fields = response.headers.iter().map(|field| {
                let value = String::from_utf8_lossy(field.value).into_owned();
                (field.name.to_ascii_lowercase(), value)
            });
            let (status, fields) = (response.code.unwrap_or(0), fields.collect());
            Ok(Some((
                Answer {
                    status,
                    fields,
                    body: Vec::new(),
                },
                len,
            )))
        }
    }
}
