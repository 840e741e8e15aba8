//! A tar as it comes: which files are in it, and their bytes.
//!
//! POSIX.1-2024's `ustar` and `pax` interchange formats, and what GNU tar writes for long names.
//! Only plain files come out of it: directories are passed over, and what is neither is refused,
//! since a site has no links and no devices.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// All of a tar is in blocks of this size.
const BLOCK_BYTES: usize = 512;
/// Longest record about the next entry, such as its name.
const ABOUT_BYTES_MAX: u64 = 64 * 1024;

/// Reads one tar.
#[derive(Debug)]
pub(crate) struct Decoder {
    block: [u8; BLOCK_BYTES],
    /// So much of the block has come.
    filled: usize,
    state: State,
    /// The next entry's name and size, if a record before it says so.
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// Whether its first block has come.
    has_begun: bool,
}

#[derive(Debug)]
enum State {
    /// At an entry's header.
    Header,
    /// In a file: so many bytes of it are to come, and so many that fill up its last block.
    Content(u64, u64),
    /// In something to be passed over.
    Skip(u64),
    /// In a record about the next entry.
    About(About, Vec<u8>, u64, u64),
    /// The first of the two blocks that end it has come.
    Ending,
    /// Behind its end.
    End,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// GNU tar's long name.
    Name,
    /// Lines of `LENGTH KEYWORD=VALUE`.
    Pax,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'b> {
    /// Nothing until more bytes have come.
    More,
    /// A file begins, of this name and size.
    File(Vec<u8>, u64),
    /// Bytes of that file: whoever takes some says so to [`Decoder::took`].
    Content(&'b [u8]),
}

/// Why it is no tar, or none that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It begins as gzip does.
    Compressed,
    /// A header whose sum is not what it says.
    Header,
    /// A number that is none.
    Number,
    /// A record about the next entry that is too long, or not as it should be.
    About,
    /// An entry of this name that is no file.
    Kind(String, &'static str),
    /// It stops before its end.
    Cut,
    /// Something stands behind its end.
    Behind,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Compressed => "it is compressed: send the plain tar (`tar -c`, without -z)",
            Broken::Header => "what should be an entry's header is none",
            Broken::Number => "an entry's size is no number",
            Broken::About => "a record about the next entry is too long, or not as pax has it",
            Broken::Kind(name, what) => {
                return write!(
                    f,
                    "`{name}` is {what}, and a site has plain files only (`tar -h \
                     --hard-dereference` puts in what links lead to)"
                );
            }
            Broken::Cut => "it stops before the blocks of zeros that end it: it was cut off",
            Broken::Behind => "something stands behind its end",
        })
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            block: [0; BLOCK_BYTES],
            filled: 0,
            state: State::Header,
            name: None,
            size: None,
            has_begun: false,
        }
    }
}

impl Decoder {
    /// What comes next, and how many of the bytes were used up to there.
    ///
    /// # Errors
    /// [`Broken`]; nothing more is to be asked then.
    pub(crate) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Item<'b>), Broken> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match &mut self.state {
                State::Content(left @ 1.., _) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    return Ok(match count {
                        0 => (used, Item::More),
                        _ => (used, Item::Content(&rest[..count])),
                    });
                }
                State::Content(_, pad) => self.state = State::Skip(*pad),
                State::Skip(0) => self.state = State::Header,
                State::Skip(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    if count == 0 {
                        return Ok((used, Item::More));
                    }
                    *left -= count as u64;
                    used += count;
                }
                State::About(_, record, left @ 1.., _) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    if count == 0 {
                        return Ok((used, Item::More));
                    }
                    record.extend_from_slice(&rest[..count]);
                    *left -= count as u64;
                    used += count;
                }
                State::About(about, record, _, pad) => {
                    let (about, record, pad) = (*about, core::mem::take(record), *pad);
                    self.note(about, &record)?;
                    self.state = State::Skip(pad);
                }
                State::Header | State::Ending | State::End => {
                    used += self.fill(rest);
                    if self.filled < BLOCK_BYTES {
                        return Ok((used, Item::More));
                    }
                    self.filled = 0;
                    if let Some(item) = self.block_ended()? {
                        return Ok((used, item));
                    }
                }
            }
        }
    }

    /// So many bytes of the file's content were taken.
    pub(crate) fn took(&mut self, count: usize) {
        if let State::Content(left, _) = &mut self.state {
            *left -= count as u64;
        }
    }

    /// Bytes of the file that are still to come.
    pub(crate) fn left_bytes(&self) -> u64 {
        match self.state {
            State::Content(left, _) => left,
            _ => 0,
        }
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// [`Broken::Cut`] before its end, [`Broken::Behind`] if it was not the last.
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        if !matches!(self.state, State::Ending | State::End) {
            return Err(Broken::Cut);
        }
        match self.block[..self.filled].iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Broken::Behind),
        }
    }

    fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = (BLOCK_BYTES - self.filled).min(bytes.len());
        self.block[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }

    /// A block between entries has come.
    fn block_ended(&mut self) -> Result<Option<Item<'static>>, Broken> {
        let is_first = !core::mem::replace(&mut self.has_begun, true);
        let is_empty = self.block.iter().all(|byte| *byte == 0);
        match (&self.state, is_empty) {
            (State::Header, false) => return self.entry(is_first),
            // One is an end, too: what comes behind it is looked at all the same.
            (State::Header, true) => self.state = State::Ending,
            (_, true) => self.state = State::End,
            (_, false) => return Err(Broken::Behind),
        }
        Ok(None)
    }

    /// An entry's header has come.
    fn entry(&mut self, is_first: bool) -> Result<Option<Item<'static>>, Broken> {
        let header = Header(&self.block);
        if !header.is_sound() {
            let is_gzip = is_first && self.block.starts_with(&[0x1f, 0x8b]);
            return Err(if is_gzip {
                Broken::Compressed
            } else {
                Broken::Header
            });
        }
        let len_bytes = header.size()?;
        let (kind, own_name, link) = (header.kind(), header.name(), header.link());
        if let Some(about) = about(kind) {
            if len_bytes > ABOUT_BYTES_MAX {
                return Err(Broken::About);
            }
            self.state = State::About(about, Vec::new(), len_bytes, padding(len_bytes));
            return Ok(None);
        }
        // What only archives of versions of files and whole disks have, about all of them.
        if matches!(kind, b'g' | b'K') {
            self.state = State::Skip(len_bytes.saturating_add(padding(len_bytes)));
            return Ok(None);
        }
        let name = self.name.take().unwrap_or(own_name);
        let len_bytes = self.size.take().unwrap_or(len_bytes);
        match kind {
            // Before POSIX, a directory was a file whose name ended so.
            b'0' | 0 | b'7' if !name.ends_with(b"/") => {
                self.state = State::Content(len_bytes, padding(len_bytes));
                Ok(Some(Item::File(name, len_bytes)))
            }
            b'5' | b'0' | 0 | b'7' => {
                self.state = State::Skip(0);
                Ok(None)
            }
            // GNU tar's way to say that it has this file already: it was named twice.
            b'1' if plain(&name) == plain(&link) => Ok(None),
            other => {
                let name = alloc::format!("{}", name.escape_ascii());
                Err(Broken::Kind(name, what(other)))
            }
        }
    }

    /// Keeps what a record says of the next entry.
    fn note(&mut self, about: About, record: &[u8]) -> Result<(), Broken> {
        if about == About::Name {
            let end = record.iter().position(|byte| *byte == 0);
            self.name = Some(record[..end.unwrap_or(record.len())].to_vec());
            return Ok(());
        }
        let mut rest = record;
        while !rest.is_empty() {
            let (keyword, value, behind) = line(rest).ok_or(Broken::About)?;
            match keyword {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value).ok_or(Broken::Number)?),
                _ if keyword.starts_with(b"GNU.sparse.") => {
                    let name = alloc::format!("{}", value.escape_ascii());
                    return Err(Broken::Kind(name, "a sparse file"));
                }
                _ => {}
            }
            rest = behind;
        }
        Ok(())
    }
}

/// A name without what only says that it is here.
pub(super) fn plain(name: &[u8]) -> &[u8] {
    let mut plain = name;
    while let Some(rest) = plain.strip_prefix(b"./") {
        plain = rest;
    }
    plain
}

/// What such an entry says of the next one, if it does.
fn about(kind: u8) -> Option<About> {
    match kind {
        b'L' => Some(About::Name),
        b'x' => Some(About::Pax),
        _ => None,
    }
}

/// What such an entry is.
fn what(kind: u8) -> &'static str {
    match kind {
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'6' => "a FIFO",
        b'S' => "a sparse file",
        _ => "of a kind that is not known here",
    }
}

/// What fills up the last block.
fn padding(len_bytes: u64) -> u64 {
    len_bytes.wrapping_neg() % BLOCK_BYTES as u64
}

/// The first pax record: its keyword, its value, and what is behind it.
fn line(record: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = record.iter().position(|byte| *byte == b' ')?;
    let len = usize::try_from(decimal(&record[..space])?).ok()?;
    let (line, behind) = record.split_at_checked(len)?;
    let line = line.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = line.iter().position(|byte| *byte == b'=')?;
    Some((&line[..equals], &line[equals + 1..], behind))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    text.parse().ok()
}

/// An entry's header: where what stands, POSIX.1-2024 `pax`, "ustar Header Block".
struct Header<'b>(&'b [u8; BLOCK_BYTES]);

impl Header<'_> {
    /// Whether its sum is that of its bytes, its own place taken as spaces.
    fn is_sound(&self) -> bool {
        let sum = |own: u64| {
            let all = self.0.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            let place = self.0[148..156].iter().map(|byte| u64::from(*byte));
            all - place.sum::<u64>() + own
        };
        octal(&self.0[148..156]) == Some(sum(8 * u64::from(b' ')))
    }

    fn kind(&self) -> u8 {
        self.0[156]
    }

    fn size(&self) -> Result<u64, Broken> {
        let field = &self.0[124..136];
        // GNU tar's numbers of more than 33 bits.
        let size = match field[0] {
            0x80 if field[1..4] == [0; 3] => {
                let bytes = field[4..].try_into().map_err(|_| Broken::Number)?;
                Some(u64::from_be_bytes(bytes))
            }
            _ => octal(field),
        };
        // So that its padding can be added, and no machine has as much.
        size.filter(|size| *size <= i64::MAX as u64)
            .ok_or(Broken::Number)
    }

    fn text(&self, field: Range<usize>) -> Vec<u8> {
        let field = &self.0[field];
        let end = field.iter().position(|byte| *byte == 0);
        field[..end.unwrap_or(field.len())].to_vec()
    }

    /// What a link leads to.
    fn link(&self) -> Vec<u8> {
        self.text(157..257)
    }

    fn name(&self) -> Vec<u8> {
        let (name, prefix) = (self.text(0..100), self.text(345..500));
        match &self.0[257..263] == b"ustar\0" && !prefix.is_empty() {
            true => [&prefix[..], b"/", &name].concat(),
            false => name,
        }
    }
}

/// An octal number between spaces, ended by a space or NUL.
fn octal(field: &[u8]) -> Option<u64> {
    let end = field.iter().position(|byte| *byte == 0);
    let digits = field[..end.unwrap_or(field.len())].trim_ascii();
    let is_plain = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    let text = core::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// An entry as ustar has it.
    fn entry(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
        let mut block = [0_u8; BLOCK_BYTES];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(alloc::format!("{:011o}", content.len()).as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..155].copy_from_slice(alloc::format!("{sum:06o}\0").as_bytes());
        let fill = padding(content.len() as u64) as usize;
        [&block[..], content, &vec![0; fill]].concat()
    }

    /// A hard link.
    fn linked(name: &str, to: &str) -> Vec<u8> {
        let mut entry = entry(b'1', name, b"");
        entry[157..157 + to.len()].copy_from_slice(to.as_bytes());
        entry[148..156].fill(b' ');
        let sum: u64 = entry.iter().map(|byte| u64::from(*byte)).sum();
        entry[148..155].copy_from_slice(alloc::format!("{sum:06o}\0").as_bytes());
        entry
    }

    fn end() -> Vec<u8> {
        vec![0; 2 * BLOCK_BYTES]
    }

    type Files = Vec<(Vec<u8>, Vec<u8>)>;

    /// Reads all of it, offered in pieces of this size.
    fn read(tar: &[u8], piece: usize) -> Result<Files, Broken> {
        let mut decoder = Decoder::default();
        let mut files = Files::new();
        for mut piece in tar.chunks(piece) {
            loop {
                let (used, item) = decoder.next(piece)?;
                piece = &piece[used..];
                match item {
                    Item::More => break,
                    Item::File(name, _) => files.push((name, Vec::new())),
                    Item::Content(bytes) => {
                        // Not all at once, as a store that is busy.
                        let count = bytes.len().div_ceil(2);
                        files.last_mut().expect("a file").1.extend(&bytes[..count]);
                        decoder.took(count);
                        piece = &piece[count..];
                    }
                }
            }
        }
        decoder.finish().map(|()| files)
    }

    #[test]
    fn files_come_out_however_the_bytes_come() {
        let long = "d/".repeat(90) + "long";
        let path = alloc::format!("path={long}\n");
        let line = alloc::format!("{} {path}", path.len() + 4);
        let again = linked("./a.html", "a.html");
        let tar = [
            entry(b'5', "./", b""),
            entry(b'0', "./a.html", b"<p>a"),
            entry(b'g', "pax_global_header", b"20 comment=a commit\n"),
            entry(b'x', "about", line.as_bytes()),
            entry(b'0', "short", &[7; 1_300]),
            entry(b'L', "././@LongLink", &[long.as_bytes(), b"\0"].concat()),
            entry(0, "short", b""),
            entry(b'0', "old/", b""),
            again,
            end(),
            end(),
        ]
        .concat();
        let name = |name: &str| name.as_bytes().to_vec();
        let expected = vec![
            (name("./a.html"), b"<p>a".to_vec()),
            (name(&long), vec![7; 1_300]),
            (name(&long), vec![]),
        ];
        for piece in [1, 3, 511, 512, 513, 100_000] {
            assert_eq!(read(&tar, piece), Ok(expected.clone()), "{piece}");
        }
    }

    #[test]
    fn a_name_in_two_parts_and_a_number_of_gnu_tar_are_understood() {
        let mut tar = entry(b'0', "name", b"");
        tar[345..351].copy_from_slice(b"prefix");
        tar[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        tar[148..156].fill(b' ');
        let sum: u64 = tar.iter().map(|byte| u64::from(*byte)).sum();
        tar[148..155].copy_from_slice(alloc::format!("{sum:06o}\0").as_bytes());
        let mut block = vec![0; BLOCK_BYTES];
        block[..2].copy_from_slice(b"ab");
        let tar = [tar, block, end()].concat();
        let files = read(&tar, 100_000).expect("a tar");
        assert_eq!(files, [(b"prefix/name".to_vec(), b"ab".to_vec())]);
    }

    #[test]
    fn what_is_none_is_refused() {
        let whole = [entry(b'0', "a", b"a"), end()].concat();
        let cut = |len: usize| read(&whole[..len], 100);
        assert_eq!(
            cut(BLOCK_BYTES * 2),
            Err(Broken::Cut),
            "between two entries"
        );
        assert_eq!(cut(BLOCK_BYTES + 1), Err(Broken::Cut), "in a file");
        assert_eq!(cut(100), Err(Broken::Cut), "in a header");
        assert!(cut(BLOCK_BYTES * 3).is_ok(), "one block of zeros is an end");
        assert_eq!(read(b"", 1), Err(Broken::Cut));
        let mut wrong = whole.clone();
        wrong[0] = b'b';
        assert_eq!(read(&wrong, 100), Err(Broken::Header));
        wrong[..2].copy_from_slice(&[0x1f, 0x8b]);
        assert_eq!(read(&wrong, 100), Err(Broken::Compressed));
        for behind in [whole.clone(), b"x".to_vec()] {
            let two = [whole.clone(), behind].concat();
            assert_eq!(read(&two, 100), Err(Broken::Behind));
        }
        for (kind, what) in [(b'2', "a symbolic link"), (b'S', "a sparse file")] {
            let tar = [entry(kind, "l", b""), end()].concat();
            assert_eq!(read(&tar, 100), Err(Broken::Kind("l".into(), what)));
        }
        let other = [linked("l", "a.html"), end()].concat();
        assert_eq!(
            read(&other, 100),
            Err(Broken::Kind("l".into(), "a hard link"))
        );
        let sparse = entry(b'x', "about", b"22 GNU.sparse.name=at\n");
        assert!(matches!(read(&sparse, 100), Err(Broken::Kind(..))));
        for record in [
            "99 path=a\n",
            "9 path=a",
            "x path=a\n",
            "10 path:aa\n",
            "8 size\n",
        ] {
            let tar = entry(b'x', "about", record.as_bytes());
            assert_eq!(read(&tar, 100), Err(Broken::About), "{record}");
        }
        let tar = entry(b'x', "about", b"10 size=x\n");
        assert_eq!(read(&tar, 100), Err(Broken::Number));
        let tar = entry(b'L', "about", &vec![b'n'; ABOUT_BYTES_MAX as usize + 1]);
        assert_eq!(read(&tar, 1_000), Err(Broken::About));
    }
}
