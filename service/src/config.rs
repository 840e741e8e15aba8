//! What the service can be told, and what to write instead of a bad value.
//!
//! The keys and their values are those of the appliance's configuration
//! (`auth`, `auth.token`, `auth.read-token`, `auth.plaintext`, `cors`, `metrics`,
//! `log.access`, `site.HOST`). Where the words come from is the roof's business.

use crate::access::AccessLog;
use crate::http::target;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use store::BucketName;
use subtle::{Choice, ConstantTimeEq};

/// Shortest token, in characters.
pub(crate) const TOKEN_BYTES_MIN: usize = 16;
/// Longest token, in characters.
pub(crate) const TOKEN_BYTES_MAX: usize = 128;

/// Who may read and write (`auth`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Writes and private reads need the token.
    #[default]
    Token,
    /// Everybody may do everything.
    Open,
}

/// What happens to a token on an unencrypted connection (`auth.plaintext`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plaintext {
    /// It is taken; the roof warns.
    #[default]
    Warn,
    /// What needs a token is refused.
    Refuse,
}

/// Who may read `/metrics` (`metrics`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsMode {
    /// Who has a token; on the admin plane everybody.
    #[default]
    OpenToAdmin,
    /// Who has a token, on both planes.
    Token,
    /// Everybody.
    Open,
}

/// A secret of 16 to 128 printable characters; never printed, compared in constant time.
#[derive(Clone)]
pub struct Token {
    padded: [u8; TOKEN_BYTES_MAX],
    len_bytes: u8,
}

/// Which bucket is served as the site, by Host.
#[derive(Clone, Debug)]
pub struct Sites {
    fallback: BucketName,
    by_host: Vec<(Box<str>, BucketName)>,
}

/// How long a connection may take for what, in nanoseconds, and what connections may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a head to its last.
    pub head_timeout_ns: u64,
    /// Without a request.
    pub idle_timeout_ns: u64,
    /// Between two pieces of a request's body.
    pub body_timeout_ns: u64,
    /// Between two pieces of an answer taken by the peer or given by the store.
    pub answer_timeout_ns: u64,
    /// RAM for all batches that come in, and all pages with values that are put together.
    pub bodies_bytes: u64,
    /// RAM for what connections in TLS hold of it.
    pub sessions_bytes: u64,
    /// Connections that may watch at once; half of them without a token.
    pub watchers: u32,
}

/// What the service can be told.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `auth`.
    pub auth: AuthMode,
    /// `auth.token`; without one, in [`AuthMode::Token`], nobody gets in.
    pub token: Option<Token>,
    /// `auth.read-token`.
    pub read_token: Option<Token>,
    /// `auth.plaintext`.
    pub plaintext: Plaintext,
    /// `metrics`.
    pub metrics: MetricsMode,
    /// `site.HOST`.
    pub sites: Sites,
    /// `log.access`.
    pub access_log: AccessLog,
    /// `cors`: the origin whose pages may use the users' port, or `*`.
    pub cors: Option<Box<str>>,
    /// Deadlines, and memory.
    pub limits: Limits,
}

/// Why a value was not accepted; says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// `auth`.
    Auth,
    /// `auth.token`, `auth.read-token`.
    Token,
    /// `auth.plaintext`.
    Plaintext,
    /// `metrics`.
    Metrics,
    /// `cors`.
    Cors,
    /// `log.access`.
    AccessLog,
    /// `site.HOST`: the bucket.
    SiteBucket,
    /// `site.HOST`: the host.
    SiteHost,
}

/// Why [`Config::set`] changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// Not one of the service's keys.
    UnknownKey,
    /// The key is known, the value is not.
    Value(ValueError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueError::Auth => "write `auth=token` or `auth=open`",
            ValueError::Token => "a token is 16 to 128 printable ASCII characters without a space",
            ValueError::Plaintext => "write `auth.plaintext=warn` or `auth.plaintext=refuse`",
            ValueError::Metrics => "write `metrics=token` or `metrics=open`",
            ValueError::Cors => {
                "write `cors=off`, `cors=*`, or one origin, like `cors=https://shop.example`"
            }
            ValueError::AccessLog => {
                "write `log.access=off`, `log.access=console`, `log.access=syslog`, or \
                 `log.access=bucket:NAME`, the name being 1 to 64 of a-z, 0-9, _ and -"
            }
            ValueError::SiteBucket => {
                "write `site.HOST=BUCKET`, the bucket being 1 to 64 of a-z, 0-9, _ and -"
            }
            ValueError::SiteHost => {
                "write `site.HOST=BUCKET`, the host being a name or an address without a port"
            }
        })
    }
}

impl core::error::Error for ValueError {}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::UnknownKey => f.write_str("there is no such key"),
            SetError::Value(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SetError {}

impl FromStr for AuthMode {
    type Err = ValueError;
    fn from_str(value: &str) -> Result<Self, ValueError> {
        match value {
            "token" => Ok(AuthMode::Token),
            "open" => Ok(AuthMode::Open),
            _ => Err(ValueError::Auth),
        }
    }
}

impl FromStr for Plaintext {
    type Err = ValueError;
    fn from_str(value: &str) -> Result<Self, ValueError> {
        match value {
            "warn" => Ok(Plaintext::Warn),
            "refuse" => Ok(Plaintext::Refuse),
            _ => Err(ValueError::Plaintext),
        }
    }
}

impl FromStr for MetricsMode {
    type Err = ValueError;
    fn from_str(value: &str) -> Result<Self, ValueError> {
        match value {
            "token" => Ok(MetricsMode::Token),
            "open" => Ok(MetricsMode::Open),
            _ => Err(ValueError::Metrics),
        }
    }
}

impl FromStr for Token {
    type Err = ValueError;
    fn from_str(value: &str) -> Result<Self, ValueError> {
        let bytes = value.as_bytes();
        let len_ok = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&bytes.len());
        if !len_ok || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(ValueError::Token);
        }
        let (padded, len_bytes) = pad(bytes);
        Ok(Token { padded, len_bytes })
    }
}

impl Token {
    /// Whether `presented` is this token; takes the same time for every token and every guess.
    pub(crate) fn matches(&self, presented: &[u8]) -> Choice {
        let fits = Choice::from(u8::from(presented.len() <= TOKEN_BYTES_MAX));
        let (padded, len_bytes) = pad(&presented[..presented.len().min(TOKEN_BYTES_MAX)]);
        self.padded.ct_eq(&padded) & self.len_bytes.ct_eq(&len_bytes) & fits
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(set)")
    }
}

/// `bytes` (at most [`TOKEN_BYTES_MAX`]) in a field of fixed length.
fn pad(bytes: &[u8]) -> ([u8; TOKEN_BYTES_MAX], u8) {
    let mut padded = [0; TOKEN_BYTES_MAX];
    padded[..bytes.len()].copy_from_slice(bytes);
    (padded, bytes.len() as u8)
}

/// Where `log.access` wants its lines.
fn access_log(value: &str) -> Result<AccessLog, ValueError> {
    let bucket = value.strip_prefix("bucket:").map(BucketName::new);
    match (value, bucket) {
        ("off", _) => Ok(AccessLog::Off),
        ("console", _) => Ok(AccessLog::Console),
        ("syslog", _) => Ok(AccessLog::Syslog),
        (_, Some(Ok(bucket))) => Ok(AccessLog::Bucket(bucket)),
        _ => Err(ValueError::AccessLog),
    }
}

/// The origin that `cors` names, as a browser writes it (RFC 6454 section 6.2).
fn origin(value: &str) -> Result<Option<Box<str>>, ValueError> {
    let host = value.strip_prefix("http://");
    let host = host.or_else(|| value.strip_prefix("https://"));
    match (value, host) {
        ("off", _) => Ok(None),
        ("*", _) => Ok(Some(value.into())),
        (_, Some(host)) if !host.is_empty() && target::is_authority(host.as_bytes()) => {
            Ok(Some(value.into()))
        }
        _ => Err(ValueError::Cors),
    }
}

impl Default for Sites {
    fn default() -> Self {
        let fallback = BucketName::new("www").expect("www is in the grammar");
        Sites {
            fallback,
            by_host: Vec::new(),
        }
    }
}

impl Sites {
    /// Serves `bucket` for requests that name `host` (`site.HOST=BUCKET`).
    ///
    /// # Errors
    /// [`ValueError::SiteHost`], [`ValueError::SiteBucket`].
    pub fn add(&mut self, host: &str, bucket: &str) -> Result<(), ValueError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(allowed) {
            return Err(ValueError::SiteHost);
        }
        let bucket = BucketName::new(bucket).map_err(|_| ValueError::SiteBucket)?;
        self.by_host
            .retain(|(known, _)| !known.eq_ignore_ascii_case(host));
        self.by_host.push((host.into(), bucket));
        Ok(())
    }

    /// The bucket for hosts that nothing is said of.
    pub(crate) fn fallback(&self) -> &BucketName {
        &self.fallback
    }

    /// All buckets that are sites.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &BucketName> {
        let named = self.by_host.iter().map(|(_, bucket)| bucket);
        core::iter::once(&self.fallback).chain(named)
    }

    /// The bucket for a Host field's value, port and case ignored.
    pub(crate) fn bucket(&self, authority: &str) -> &BucketName {
        if self.by_host.is_empty() {
            return &self.fallback;
        }
        let host = host_of(authority);
        let found = self
            .by_host
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(host));
        found.map_or(&self.fallback, |(_, bucket)| bucket)
    }
}

/// The host of `host[:port]`, brackets of an IPv6 address removed.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

impl Default for Limits {
    fn default() -> Self {
        const SECOND_NS: u64 = 1_000_000_000;
        Limits {
            head_timeout_ns: 10 * SECOND_NS,
            idle_timeout_ns: 75 * SECOND_NS,
            body_timeout_ns: 30 * SECOND_NS,
            answer_timeout_ns: 60 * SECOND_NS,
            bodies_bytes: 4 << 20,
            sessions_bytes: 4 << 20,
            watchers: 128,
        }
    }
}

impl Config {
    /// Sets one key as it is written in the appliance's configuration.
    ///
    /// # Errors
    /// [`SetError::UnknownKey`] if it is somebody else's key.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        if let Some(host) = key.strip_prefix("site.") {
            return self.sites.add(host, value).map_err(SetError::Value);
        }
        let result = match key {
            "auth" => value.parse().map(|mode| self.auth = mode),
            "auth.token" => value.parse().map(|token| self.token = Some(token)),
            "auth.read-token" => value.parse().map(|token| self.read_token = Some(token)),
            "auth.plaintext" => value.parse().map(|mode| self.plaintext = mode),
            "cors" => origin(value).map(|origin| self.cors = origin),
            "metrics" => value.parse().map(|mode| self.metrics = mode),
            "log.access" => access_log(value).map(|log| self.access_log = log),
            _ => return Err(SetError::UnknownKey),
        };
        result.map_err(SetError::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn keys_set_what_they_name() {
        let mut config = Config::default();
        for (key, value) in [
            ("auth", "open"),
            ("auth.token", "0123456789abcdef"),
            ("auth.read-token", "fedcba9876543210"),
            ("auth.plaintext", "refuse"),
            ("metrics", "open"),
            ("cors", "https://shop.example:8443"),
            ("log.access", "bucket:logs"),
            ("site.shop.example", "shop"),
        ] {
            assert_eq!(config.set(key, value), Ok(()), "{key}");
        }
        assert_eq!(config.auth, AuthMode::Open);
        assert_eq!(config.plaintext, Plaintext::Refuse);
        assert_eq!(config.metrics, MetricsMode::Open);
        assert_eq!(config.sites.bucket("SHOP.example:8080").as_str(), "shop");
        assert_eq!(config.sites.bucket("other").as_str(), "www");
    }

    #[test]
    fn bad_values_say_what_to_write() {
        let mut config = Config::default();
        for (key, value, says) in [
            ("auth", "yes", "auth=open"),
            ("auth.token", "short", "16 to 128"),
            ("auth.token", "a token with spaces in it", "16 to 128"),
            ("auth.plaintext", "", "auth.plaintext=refuse"),
            ("metrics", "off", "metrics=open"),
            ("log.access", "journal", "log.access=syslog"),
            ("log.access", "bucket:", "log.access=bucket:NAME"),
            ("cors", "shop.example", "cors=off"),
            ("cors", "https://", "cors=off"),
            ("cors", "https://shop.example/", "cors=off"),
            ("cors", "https://a https://b", "cors=off"),
            ("site.h", "UPPER", "site.HOST=BUCKET"),
            ("site.", "www", "site.HOST=BUCKET"),
        ] {
            let error = config.set(key, value).unwrap_err();
            assert!(error.to_string().contains(says), "{key}={value}: {error}");
        }
        assert_eq!(config.set("ip", "dhcp"), Err(SetError::UnknownKey));
    }

    #[test]
    fn tokens_match_only_themselves_and_are_never_printed() {
        let token: Token = "0123456789abcdef".parse().unwrap();
        assert!(bool::from(token.matches(b"0123456789abcdef")));
        for guess in [
            &b""[..],
            b"0123456789abcde",
            b"0123456789abcdef\0",
            &[b'0'; 300],
        ] {
            assert!(!bool::from(token.matches(guess)));
        }
        assert_eq!(format!("{token:?}"), "Token(set)");
    }
}
