//! Why S3 did not serve a request: what the SDK says about it, in few words, with what a
//! person can do and whether trying again may help.
//!
//! Always holds: keys, signatures and whole requests or answers are not in the text.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use voxage_contract::Kind;

use crate::Error;

/// What to do when no keys are found.
const NO_KEYS: &str = "there are no keys for S3: set AWS_ACCESS_KEY_ID and \
     AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile of ~/.aws/credentials";

/// A request that S3 did not serve.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// S3's name for it, if the answer had one.
    pub(crate) code: Option<String>,
    /// For people.
    pub(crate) why: String,
    /// What to do next.
    pub(crate) kind: Kind,
    /// Whether an answer began and broke off in its body.
    pub(crate) broken: bool,
}

impl Failure {
    /// What became of a request.
    pub(crate) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let failed = |why, kind| Self { status, code: None, why, kind, broken: false };
        match error {
            SdkError::ServiceError(_) => {
                let meta = ProvideErrorMetadata::meta(error);
                Self::answered(status.unwrap_or(0), meta.code(), meta.message())
            }
            SdkError::ResponseError(_) if status.is_some_and(|status| status < 500) => {
                failed(format!("the answer is not one of S3 ({})", chain(error)), Kind::Permanent)
            }
            SdkError::TimeoutError(_) => {
                failed("there was no answer in time".into(), Kind::Transient)
            }
            SdkError::ConstructionFailure(_) => failed(chain(error), Kind::Permanent),
            _ => match credentials(error) {
                Some(error) => Self::no_credentials(error),
                None => failed(chain(error), Kind::Transient),
            },
        }
    }

    /// An answer that says no.
    fn answered(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let (advice, kind) = advice(status, code.unwrap_or_default());
        let mut why = format!("the server answered {status}");
        for part in [code, message]
            .into_iter()
            .flatten()
            .map(|part| part.trim_end_matches('.'))
            .filter(|part| !part.is_empty())
        {
            let _ = write!(why, ", {part}");
        }
        if !advice.is_empty() {
            let _ = write!(why, ": {advice}");
        }
        Self { status: Some(status), code: code.map(str::to_owned), why, kind, broken: false }
    }

    /// An answer that broke off in its body.
    pub(crate) fn broken(why: &(dyn StdError + 'static)) -> Self {
        let why = format!("the answer broke off: {}", chain(why));
        Self { status: None, code: None, why, kind: Kind::Transient, broken: true }
    }

    /// A file on this machine that cannot be written.
    pub(crate) fn disk(why: &io::Error) -> Self {
        let why = format!("it cannot be kept in the folder for temporary files (TMPDIR): {why}");
        Self { status: None, code: None, why, kind: Kind::Transient, broken: false }
    }

    /// No keys to sign with.
    pub(crate) fn no_credentials(error: &CredentialsError) -> Self {
        let (why, kind) = match error {
            CredentialsError::CredentialsNotLoaded(_) => (NO_KEYS.to_owned(), Kind::Permanent),
            CredentialsError::InvalidConfiguration(_) => {
                (format!("{NO_KEYS} ({})", chain(error)), Kind::Permanent)
            }
            // A machine or container was asked for its keys, and may have them later.
            _ => (format!("{NO_KEYS} ({})", chain(error)), Kind::Transient),
        };
        Self { status: None, code: None, why, kind, broken: false }
    }

    /// Whether the object is not there (and the bucket, as far as was said, is).
    pub(crate) fn is_missing(&self) -> bool {
        self.status == Some(404) && self.code.as_deref() != Some("NoSuchBucket")
    }

    /// Whether this one object may not be read with keys that are otherwise good.
    pub(crate) fn is_denied(&self) -> bool {
        let codes = [None, Some("AccessDenied"), Some("Forbidden"), Some("InvalidObjectState")];
        self.status == Some(403) && codes.contains(&self.code.as_deref())
    }

    /// Whether the server takes no such key, whatever is there.
    pub(crate) fn is_no_key(&self) -> bool {
        let codes = ["InvalidRequest", "InvalidURI", "InvalidArgument", "KeyTooLongError"];
        self.status == Some(400) && self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// As an error of this crate: `what` was tried, on what.
    pub(crate) fn during(self, what: String) -> Error {
        Error::S3 { what, why: self.why, kind: self.kind }
    }
}

/// What a person can do about an answer, and whether trying again may help.
fn advice(status: u16, code: &str) -> (&'static str, Kind) {
    match (status, code) {
        (_, "NoSuchBucket") => ("create the bucket, or name one that is there", Kind::Permanent),
        (_, "RequestTimeTooSkewed") => ("set this machine's clock", Kind::Permanent),
        (_, "ExpiredToken" | "TokenRefreshRequired") => {
            ("the keys are out of date: get new ones", Kind::Permanent)
        }
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken") | (401, _) => (
            "the keys are wrong: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile",
            Kind::Permanent,
        ),
        (_, "InvalidObjectState") => ("it is archived: restore it first", Kind::Permanent),
        (403, _) => (
            "check the keys, and that they may do s3:GetObject, s3:ListBucket and, to write, s3:PutObject and s3:DeleteObject here",
            Kind::Permanent,
        ),
        (301 | 307, _) | (_, "AuthorizationHeaderMalformed") => {
            ("the bucket is in another region: set the region", Kind::Permanent)
        }
        (501, _) => ("the server lacks what voxage needs", Kind::Permanent),
        (408 | 409 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown") => ("", Kind::Transient),
        _ => ("", Kind::Permanent),
    }
}

/// The credentials' error that is behind another, if one is.
fn credentials<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CredentialsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error and what is behind it, from the outside in.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(error) = next {
        let inner = error.to_string();
        if !text.ends_with(&inner) {
            let _ = write!(text, ": {inner}");
        }
        next = error.source();
    }
    text
}
