//! A case as it is written: one line for each thing, its name first.

/// By which door a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The users' port.
    Users,
    /// The owner's port.
    Admin,
}

/// What is sent, and what has to come back.
#[derive(Clone, Debug)]
pub struct Case {
    /// Begins with the section's number.
    pub id: String,
    /// What is asked of the server.
    pub sentence: String,
    /// Where it is sent to.
    pub door: Door,
    /// Requests before it, each on a connection of its own; their answers are 2xx.
    pub given: Vec<(Door, Vec<u8>)>,
    /// The bytes.
    pub sent: Vec<u8>,
    /// The client ends its side behind them.
    pub finishes: bool,
    /// The answers, in order; no other comes.
    pub answers: Vec<Wanted>,
}

/// An answer that has to come.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its status.
    pub status: u16,
    /// Whether the connection ends with it, and it says so.
    pub ends: bool,
    /// Fields that come once, and their values where those matter.
    pub with: Vec<(String, Option<String>)>,
    /// Fields that do not come.
    pub without: Vec<String>,
    /// The content, if it matters.
    pub body: Option<Vec<u8>>,
    /// The problem it tells of.
    pub problem: Option<String>,
}

impl Case {
    fn new(head: &str) -> Option<Case> {
        let (id, sentence) = head.split_once(' ')?;
        Some(Case {
            id: id.into(),
            sentence: sentence.into(),
            door: Door::Users,
            given: Vec::new(),
            sent: Vec::new(),
            finishes: false,
            answers: Vec::new(),
        })
    }

    /// Takes in one line.
    fn take(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "on" if rest == "admin" => self.door = Door::Admin,
            "given" => self.given.push((Door::Users, bytes(rest)?)),
            "given-admin" => self.given.push((Door::Admin, bytes(rest)?)),
            "send" => self.sent.extend(bytes(rest)?),
            "finish" => self.finishes = true,
            "answer" => self.answers.push(Wanted::new(rest)?),
            _ => match word.strip_prefix("send*") {
                Some(count) => self.sent.extend(bytes(rest)?.repeat(count.parse().ok()?)),
                None => self.answers.last_mut()?.take(word, rest)?,
            },
        }
        Some(())
    }
}

impl Wanted {
    fn new(rest: &str) -> Option<Wanted> {
        let (status, end) = rest.split_once(' ')?;
        let ends = match end {
            "open" => false,
            "close" => true,
            _ => return None,
        };
        Some(Wanted {
            status: status.parse().ok()?,
            ends,
            ..Wanted::default()
        })
    }

    fn take(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "with" => {
                let (name, value) = rest.split_once(": ")?;
                let value = (value != "*").then(|| value.into());
                self.with.push((name.into(), value));
            }
            "without" => self.without.push(rest.into()),
            "body" => self.body = Some(bytes(rest)?),
            "type" => self.problem = Some(rest.into()),
            _ => return None,
        }
        Some(())
    }
}

impl Case {
    /// Whether the server is to say nothing, and to wait: that is seen where time is the runner's.
    pub fn is_silence(&self) -> bool {
        self.answers.is_empty() && !self.finishes
    }
}

/// Reads the cases of a file.
///
/// # Errors
/// The line that is none, or the case that comes twice or asks for nothing.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let taken = match word {
            "case" => Case::new(rest).map(|case| cases.push(case)),
            _ => cases.last_mut().and_then(|case| case.take(word, rest)),
        };
        taken.ok_or_else(|| format!("line {}: `{line}` is none", nth + 1))?;
    }
    for (nth, case) in cases.iter().enumerate() {
        let is_twice = cases[..nth].iter().any(|other| other.id == case.id);
        if is_twice || case.sent.is_empty() {
            return Err(format!("{}: it comes twice, or sends nothing", case.id));
        }
    }
    Ok(cases)
}

/// The bytes that a text with escapes stands for.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [next, tail @ ..] = rest {
        let first;
        (first, rest) = match (next, tail) {
            (b'\\', [b'r', tail @ ..]) => (&b'\r', tail),
            (b'\\', [b'n', tail @ ..]) => (&b'\n', tail),
            (b'\\', [b't', tail @ ..]) => (&b'\t', tail),
            (b'\\', [b'0', tail @ ..]) => (&b'\0', tail),
            (b'\\', [b'\\', tail @ ..]) => (&b'\\', tail),
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                rest = tail;
                continue;
            }
            (b'\\', _) => return None,
            usual => usual,
        };
        out.push(*first);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# 1 A heading\n\
        case 1-a It says so\non admin\ngiven PUT\\r\\n\nsend a\\x20\\\\\nsend*2 \\0b\nfinish\n\
        answer 200 open\nwith A: b\nwith C: *\nwithout D\nbody x\\n\nanswer 400 close\ntype bad\n";

    #[test]
    fn a_case_is_what_is_written() {
        let cases = parse(TEXT).expect("well written");
        let [case] = &cases[..] else {
            panic!("one case")
        };
        assert_eq!((&*case.id, &*case.sentence), ("1-a", "It says so"));
        assert_eq!((case.door, case.finishes), (Door::Admin, true));
        assert_eq!(case.given, [(Door::Users, b"PUT\r\n".to_vec())]);
        assert_eq!(case.sent, b"a \\\0b\0b");
        let [first, second] = &case.answers[..] else {
            panic!("two answers")
        };
        assert_eq!((first.status, first.ends), (200, false));
        let with = [("A".into(), Some("b".into())), ("C".into(), None)];
        assert_eq!(first.with, with);
        assert_eq!(first.without, ["D"]);
        assert_eq!(first.body.as_deref(), Some(&b"x\n"[..]));
        assert_eq!((second.status, second.ends), (400, true));
        assert_eq!(second.problem.as_deref(), Some("bad"));
    }

    #[test]
    fn what_is_none_is_told() {
        for bad in [
            "send x",
            "case a",
            "case a b\nsend \\q\nanswer 200 open",
            "case a b\nanswer 200",
            "case a b\nanswer 200 shut",
            "case a b\nbody x",
            "case a b\nanswer 200 open",
            "case a b\nsend x\nanswer 200 open\ncase a c\nsend x\nanswer 200 open",
        ] {
            parse(bad).expect_err(bad);
        }
    }
}
