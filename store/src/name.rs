//! Bucket names and keys, validated once at the edge.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

/// Longest key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// Longest bucket name, in bytes.
pub(crate) const BUCKET_BYTES_MAX: usize = 64;

/// Longest name of a snapshot, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 64;

/// A name as the store accepts it: `[a-z0-9_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketName(Box<str>);

/// A key: 1 to 1024 bytes, any bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Box<[u8]>);

/// The name of a snapshot: `[a-z0-9._-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotName(Box<str>);

/// Why a name was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Not `[a-z0-9_-]{1,64}`.
    Bucket,
    /// Not 1 to 1024 bytes.
    Key,
    /// Not `[a-z0-9._-]{1,64}`.
    Snapshot,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Bucket => "a bucket name is 1 to 64 of a-z, 0-9, _ and -",
            NameError::Key => "a key is 1 to 1024 bytes",
            NameError::Snapshot => "a snapshot's name is 1 to 64 of a-z, 0-9, ., _ and -",
        })
    }
}

impl core::error::Error for NameError {}

/// Whether `name` is in the grammar of bucket names.
pub(crate) fn is_bucket(name: &str) -> bool {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !name.is_empty() && name.len() <= BUCKET_BYTES_MAX && name.bytes().all(allowed)
}

/// The one bucket outside of the grammar.
const SYSTEM: &str = "!system";
/// How the snapshots of backups begin.
const OF_BACKUP: &str = "!backup-";
/// How the snapshot of a restore that goes on begins.
const OF_RESTORE: &str = "!restore-";

/// Whether a bucket of this name can be in the log.
pub(crate) fn is_stored_bucket(name: &str) -> bool {
    is_system(name) || is_bucket(name)
}

/// Whether this is the name of the appliance's own bucket.
pub(crate) fn is_system(name: impl AsRef<[u8]>) -> bool {
    name.as_ref() == SYSTEM.as_bytes()
}

impl BucketName {
    /// Checks `name` against the grammar.
    ///
    /// # Errors
    /// [`NameError::Bucket`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        if !is_bucket(name) {
            return Err(NameError::Bucket);
        }
        Ok(BucketName(name.into()))
    }

    /// The appliance's own bucket: outside of the grammar, so no door leads to it.
    pub fn system() -> Self {
        BucketName(SYSTEM.into())
    }

    /// A name read from the log.
    pub(crate) fn stored(name: &str) -> Option<Self> {
        is_stored_bucket(name).then(|| BucketName(name.into()))
    }

    /// Whether this is the appliance's own bucket, which is never listed.
    pub fn is_system(&self) -> bool {
        is_system(self.0.as_bytes())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SnapshotName {
    /// Checks the grammar: `[a-z0-9._-]{1,64}`.
    ///
    /// # Errors
    /// [`NameError::Snapshot`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let sound = (1..=SNAPSHOT_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
        match sound {
            true => Ok(SnapshotName(name.into())),
            false => Err(NameError::Snapshot),
        }
    }

    /// The one a backup keeps for itself: outside of the grammar, so nobody else deletes it.
    pub(crate) fn of_backup(number: u64) -> Self {
        SnapshotName(alloc::format!("{OF_BACKUP}{number}").into())
    }

    /// Whether it is one of those.
    pub fn is_of_backup(&self) -> bool {
        self.is_numbered(OF_BACKUP)
    }

    /// The one that is shown while a restore goes on.
    pub(crate) fn of_restore(number: u64) -> Self {
        SnapshotName(alloc::format!("{OF_RESTORE}{number}").into())
    }

    /// Whether it is that one.
    pub fn is_of_restore(&self) -> bool {
        self.is_numbered(OF_RESTORE)
    }

    fn is_numbered(&self, prefix: &str) -> bool {
        let number = self.0.strip_prefix(prefix).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// A name read from the log.
    pub(crate) fn stored(name: &str) -> Option<Self> {
        let ours = SnapshotName(name.into());
        let is_own = ours.is_of_backup() || ours.is_of_restore();
        match is_own && name.len() <= SNAPSHOT_BYTES_MAX {
            true => Some(ours),
            false => SnapshotName::new(name).ok(),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for BucketName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// In the same order as the names are.
impl Borrow<[u8]> for BucketName {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Key {
    /// Checks the length.
    ///
    /// # Errors
    /// [`NameError::Key`].
    pub fn new(key: &[u8]) -> Result<Self, NameError> {
        Key::checked(key.len()).map(|()| Key(key.into()))
    }

    /// The same of bytes that need not be kept.
    ///
    /// # Errors
    /// [`NameError::Key`].
    pub fn of(key: Vec<u8>) -> Result<Self, NameError> {
        Key::checked(key.len()).map(|()| Key(key.into()))
    }

    fn checked(len: usize) -> Result<(), NameError> {
        let fits = (1..=KEY_BYTES_MAX).contains(&len);
        fits.then_some(()).ok_or(NameError::Key)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
