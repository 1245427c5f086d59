//! Places in S3 as people write them: `s3://bucket/prefix`.
//!
//! Always holds: a place has no empty, '.' or '..' segments and no keys of its user in it.

use crate::{Error, Result};

/// A bucket, and what the keys of interest in it start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    /// Empty, or ends in '/'.
    pub(crate) prefix: String,
}

impl Location {
    /// Reads `s3://bucket/prefix`, with or without a '/' at its end.
    pub(crate) fn parse(uri: &str) -> Result<Self> {
        let bad = |why| Error::BadUri { uri: redacted(uri), why };
        let rest = uri.strip_prefix("s3://").ok_or_else(|| bad("it does not start with s3://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (bucket, prefix) = match rest.split_once('/') {
            Some((bucket, prefix)) => (bucket, Some(prefix)),
            None => (rest, None),
        };
        if bucket.contains('@') {
            return Err(bad("keys do not belong in it: set AWS_ACCESS_KEY_ID and \
                            AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws/credentials"));
        }
        if bucket.is_empty()
            || !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        {
            return Err(bad("it names no bucket"));
        }
        let odd = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
        if prefix.is_some_and(|prefix| prefix.split('/').any(odd)) {
            return Err(bad("its prefix has an empty, '.' or '..' segment"));
        }
        let prefix = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default();
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// The URI, ending in '/'.
    pub(crate) fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// A URL without its user and password.
pub(crate) fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for (uri, expected) in [
            ("s3://b", Some("s3://b/")),
            ("s3://b/", Some("s3://b/")),
            ("s3://b/a/é b", Some("s3://b/a/é b/")),
            ("s3://b/a/", Some("s3://b/a/")),
            ("s3://", None),
            ("s3:///a", None),
            ("s3://b//", None),
            ("s3://b/a//", None),
            ("s3://b/a/../c", None),
            ("s3://b/./c", None),
            ("s3://b?x/c", None),
            ("file:///b", None),
            ("b/c", None),
        ] {
            assert_eq!(Location::parse(uri).ok().map(|place| place.uri()).as_deref(), expected);
        }
    }

    #[test]
    fn keys_in_a_uri_are_refused_and_not_repeated() {
        for uri in ["s3://AKIA:hunter2@b/c", "http://AKIA:hunter2@host", "s3://A:hunter2@x@b/"] {
            let text = Location::parse(uri).unwrap_err().to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
