//! The agent's answer: a command's output, then how the command ended.
//!
//! The answer's end is `\nexit:STATUS\n`, and nothing else marks it; so what
//! could be its beginning is held back until more has come or nothing will.

/// How the end begins.
const STATUS: &[u8] = b"\nexit:";

/// Splits an answer that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    held: Vec<u8>,
}

impl Answer {
    /// Takes the next piece and hands out what is surely output.
    pub(crate) fn push(&mut self, piece: &[u8], take: &mut impl FnMut(&[u8])) {
        self.held.extend_from_slice(piece);
        let end = output_end(&self.held);
        if end > 0 {
            take(&self.held[..end]);
            self.held.drain(..end);
        }
    }

    /// The status, if the answer is whole.
    pub(crate) fn status(&self) -> Option<i32> {
        let digits = self.held.strip_prefix(STATUS)?.strip_suffix(b"\n")?;
        str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// How much of `bytes` cannot be the answer's end, which has two newlines.
fn output_end(bytes: &[u8]) -> usize {
    let newlines = bytes
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    let candidates = newlines.map(|(at, _)| at).take(2);
    candidates
        .filter(|at| may_be_end(&bytes[*at..]))
        .min()
        .unwrap_or(bytes.len())
}

fn may_be_end(tail: &[u8]) -> bool {
    if STATUS.starts_with(tail) {
        return true;
    }
    let Some(rest) = tail.strip_prefix(STATUS) else {
        return false;
    };
    rest.strip_suffix(b"\n")
        .unwrap_or(rest)
        .iter()
        .all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed out, and the status, when it comes in such pieces.
    fn split(answer: &str, piece: usize) -> (String, Option<i32>) {
        let (mut output, mut splitter) = (Vec::new(), Answer::default());
        for bytes in answer.as_bytes().chunks(piece) {
            splitter.push(bytes, &mut |bytes| output.extend_from_slice(bytes));
        }
        (String::from_utf8(output).unwrap(), splitter.status())
    }

    #[test]
    fn an_answer_is_split_however_it_comes() {
        let cases = [
            ("hello\n\nexit:0\n", "hello\n", Some(0)),
            ("no newline\nexit:3\n", "no newline", Some(3)),
            ("\nexit:127\n", "", Some(127)),
            (
                "\nexit:1\n is printed\n\nexit:0\n",
                "\nexit:1\n is printed\n",
                Some(0),
            ),
            ("\n\n\nexit:x\n\nexit:0\n", "\n\n\nexit:x\n", Some(0)),
        ];
        for (answer, output, status) in cases {
            for piece in [1, 2, 3, 7, 100] {
                assert_eq!(
                    split(answer, piece),
                    (output.to_owned(), status),
                    "{answer:?}"
                );
            }
        }
    }

    #[test]
    fn an_answer_that_breaks_off_has_no_status() {
        for answer in ["", "text", "text\nexit:", "text\nexit:1", "text\n"] {
            assert_eq!(split(answer, 3).1, None, "{answer:?}");
        }
    }
}
