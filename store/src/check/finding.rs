//! What a look finds: where, of which kind, about what, and what it means.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// What is wrong; the names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A superblock copy is missing, damaged, or contradicts the other.
    Superblock,
    /// The header of a segment in use.
    Header,
    /// The bitmap of free segments in a header, or what it says.
    Bitmap,
    /// The footer of a sealed segment.
    Footer,
    /// What opening reads instead of the groups of a sealed segment.
    Summary,
    /// A group that was acknowledged.
    Group,
    /// The joint of an epoch's first group.
    Joint,
    /// A record.
    Record,
    /// The bytes of a value.
    Value,
    /// The headers kept with a value.
    Metadata,
    /// A chunk of a large value is missing.
    Chunk,
    /// A sequence, or a high-water mark of sequences.
    Sequence,
    /// A record that frees a segment.
    Free,
    /// A sector in something that counts cannot be read.
    Unreadable,
    /// A change that was acknowledged is not shown any more.
    Lost,
    /// What a store shows is not what the log holds.
    Shown,
}

impl Kind {
    /// The name in one word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Superblock => "superblock",
            Kind::Header => "header",
            Kind::Bitmap => "bitmap",
            Kind::Footer => "footer",
            Kind::Summary => "summary",
            Kind::Group => "group",
            Kind::Joint => "joint",
            Kind::Record => "record",
            Kind::Value => "value",
            Kind::Metadata => "metadata",
            Kind::Chunk => "chunk",
            Kind::Sequence => "sequence",
            Kind::Free => "free",
            Kind::Unreadable => "unreadable",
            Kind::Lost => "lost",
            Kind::Shown => "shown",
        }
    }
}

/// The version of a key that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The bucket's name.
    pub bucket: Box<str>,
    /// The key's bytes.
    pub key: Box<[u8]>,
    /// The version's sequence.
    pub seq: u64,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.escape_ascii();
        write!(f, "{}/{key} (seq {})", self.bucket, self.seq)
    }
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where on the device.
    pub offset_bytes: u64,
    /// What is wrong.
    pub kind: Kind,
    /// Whose, where that is known.
    pub about: Option<About>,
    /// A sentence: what it means, and what it costs.
    pub meaning: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, kind) = (self.offset_bytes, self.kind.name());
        write!(f, "{offset:#014x} {kind}: {}", self.meaning)
    }
}

/// Something worth knowing that is not wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where on the device.
    pub offset_bytes: u64,
    /// A sentence.
    pub meaning: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#014x} note: {}", self.offset_bytes, self.meaning)
    }
}
