//! The methods this server knows (RFC 9110 section 9).

/// A method that some resource here may allow; any other is 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Section 9.3.1.
    Get,
    /// Section 9.3.2.
    Head,
    /// Section 9.3.3.
    Post,
    /// Section 9.3.4.
    Put,
    /// Section 9.3.5.
    Delete,
    /// Section 9.3.7.
    Options,
}

/// What one resource allows: the methods, and the same as an `Allow` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Reading.
    Read,
    /// Reading, writing and removing.
    ReadWrite,
    /// Having something done.
    Post,
    /// Reading and removing.
    ReadDelete,
    /// Writing alone.
    Put,
    /// Reading and writing.
    ReadPut,
    /// Having it done, and reading how far it is.
    ReadPost,
    /// `OPTIONS *`: all the server knows.
    All,
}

impl Method {
    /// The method of this name; names are case-sensitive.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => return None,
        })
    }
}

impl Allowed {
    /// Whether `method` is among them.
    pub(crate) fn contains(self, method: Method) -> bool {
        match method {
            Method::Options => true,
            Method::Get | Method::Head => !matches!(self, Allowed::Post | Allowed::Put),
            Method::Put => matches!(
                self,
                Allowed::Put | Allowed::ReadPut | Allowed::ReadWrite | Allowed::All
            ),
            Method::Delete => matches!(
                self,
                Allowed::ReadWrite | Allowed::ReadDelete | Allowed::All
            ),
            Method::Post => matches!(self, Allowed::Post | Allowed::ReadPost | Allowed::All),
        }
    }

    /// The value of an `Allow` field.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Allowed::Read => "GET, HEAD, OPTIONS",
            Allowed::ReadWrite => "GET, HEAD, PUT, DELETE, OPTIONS",
            Allowed::ReadDelete => "GET, HEAD, DELETE, OPTIONS",
            Allowed::Put => "PUT, OPTIONS",
            Allowed::ReadPut => "GET, HEAD, PUT, OPTIONS",
            Allowed::Post => "POST, OPTIONS",
            Allowed::ReadPost => "GET, HEAD, POST, OPTIONS",
            Allowed::All => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        }
    }
}
