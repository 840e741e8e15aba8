//! The header fields this server reads, found in one pass over a head.

/// A field this server reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    Host,
    Range,
    Expect,
    Origin,
    IfMatch,
    IfRange,
    Connection,
    ContentType,
    Authorization,
    CacheControl,
    ContentRange,
    IfNoneMatch,
    ContentLength,
    LastEventId,
    SecFetchSite,
    AcceptEncoding,
    ContentEncoding,
    TransferEncoding,
    IfModifiedSince,
    IfUnmodifiedSince,
    ContentDisposition,
}

/// How many fields there are.
const COUNT: usize = Field::ContentDisposition as usize + 1;

/// The fields of one head; values borrow from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'h> {
    first: [Option<&'h [u8]>; COUNT],
    repeated: u32,
    all: &'h [httparse::Header<'h>],
}

impl Field {
    /// Names of this length, and their fields.
    fn of_len(len: usize) -> &'static [(&'static str, Field)] {
        match len {
            4 => &[("host", Field::Host)],
            5 => &[("range", Field::Range)],
            6 => &[("expect", Field::Expect), ("origin", Field::Origin)],
            8 => &[("if-match", Field::IfMatch), ("if-range", Field::IfRange)],
            10 => &[("connection", Field::Connection)],
            12 => &[("content-type", Field::ContentType)],
            13 => &[
                ("last-event-id", Field::LastEventId),
                ("authorization", Field::Authorization),
                ("cache-control", Field::CacheControl),
                ("content-range", Field::ContentRange),
                ("if-none-match", Field::IfNoneMatch),
            ],
            14 => &[
                ("content-length", Field::ContentLength),
                ("sec-fetch-site", Field::SecFetchSite),
            ],
            15 => &[("accept-encoding", Field::AcceptEncoding)],
            16 => &[("content-encoding", Field::ContentEncoding)],
            17 => &[
                ("transfer-encoding", Field::TransferEncoding),
                ("if-modified-since", Field::IfModifiedSince),
            ],
            19 => &[
                ("if-unmodified-since", Field::IfUnmodifiedSince),
                ("content-disposition", Field::ContentDisposition),
            ],
            _ => &[],
        }
    }

    /// The field called `name`, in any case.
    pub(crate) fn named(name: &[u8]) -> Option<Field> {
        let mut candidates = Field::of_len(name.len()).iter();
        candidates
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
            .map(|&(_, field)| field)
    }

    /// Whether several lines make one list (RFC 9110 section 5.3), or are no harm: who reads such a
    /// field reads all of them.
    fn is_list(self) -> bool {
        matches!(
            self,
            Field::IfMatch
                | Field::IfNoneMatch
                | Field::Connection
                | Field::AcceptEncoding
                | Field::CacheControl
                | Field::ContentEncoding
                | Field::ContentRange
                | Field::Expect
                | Field::IfRange
        )
    }

    /// Whether two of it count as none (RFC 9110 sections 13.1.3 and 13.1.4).
    fn is_ignored_if_repeated(self) -> bool {
        matches!(self, Field::IfModifiedSince | Field::IfUnmodifiedSince)
    }
}

impl<'h> Fields<'h> {
    /// Sorts the lines of one head.
    ///
    /// # Errors
    /// A field that is not a list was given twice: which of the two is meant is anyone's guess.
    pub(crate) fn new(all: &'h [httparse::Header<'h>]) -> Result<Self, Field> {
        let mut fields = Fields {
            first: [None; COUNT],
            repeated: 0,
            all,
        };
        for header in all {
            let Some(field) = Field::named(header.name.as_bytes()) else {
                continue;
            };
            let slot = &mut fields.first[field as usize];
            if slot.is_none() {
                *slot = Some(header.value);
            } else if field.is_list() || field.is_ignored_if_repeated() {
                fields.repeated |= 1 << field as u32;
            } else {
                return Err(field);
            }
        }
        Ok(fields)
    }

    /// The first line of this field.
    pub(crate) fn get(&self, field: Field) -> Option<&'h [u8]> {
        match self.is_repeated(field) && field.is_ignored_if_repeated() {
            true => None,
            false => self.first[field as usize],
        }
    }

    fn is_repeated(&self, field: Field) -> bool {
        self.repeated & (1 << field as u32) != 0
    }

    /// Every line of this field, in order.
    pub(crate) fn lines(&self, field: Field) -> impl Iterator<Item = &'h [u8]> + use<'h> {
        let repeated = self.is_repeated(field);
        let first = if repeated { None } else { self.get(field) };
        let all = if repeated { self.all } else { &[] };
        let same = all
            .iter()
            .filter(move |header| Field::named(header.name.as_bytes()) == Some(field));
        first.into_iter().chain(same.map(|header| header.value))
    }

    /// The non-empty elements of a list field, trimmed (no quoted strings in them).
    pub(crate) fn elements(&self, field: Field) -> impl Iterator<Item = &'h [u8]> + use<'h> {
        let lines = self.lines(field);
        let elements = lines.flat_map(|line| line.split(|&b| b == b','));
        elements
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
    }
}
