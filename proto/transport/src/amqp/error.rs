//! What the broker's and the network's words mean for whoever called.

use std::fmt::Display;
use std::io;

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use voxage_contract::Kind;

use crate::Error;

/// The error for what was tried.
pub(crate) fn failed(what: impl Display, error: &lapin::Error) -> Error {
    use AMQPErrorKind::{Hard, Soft};
    let (text, kind) = match protocol(error) {
        Some(Soft(AMQPSoftError::ACCESSREFUSED)) => (
            format!("{error}: check the user and password, and the user's permissions"),
            Kind::Permanent,
        ),
        Some(Hard(AMQPHardError::NOTALLOWED)) => (
            format!("{error}: check the virtual host (the part after the last '/' of the URL)"),
            Kind::Permanent,
        ),
        Some(Soft(AMQPSoftError::PRECONDITIONFAILED)) => (
            format!(
                "{error}: the broker has it with other settings, from another version of voxage \
                 or another program: use another name, or delete that queue once it is empty"
            ),
            Kind::Permanent,
        ),
        None if is_distrusted(error) => (
            format!("{error}: give the file of the CA that signed the broker's certificate"),
            Kind::Permanent,
        ),
        _ => (error.to_string(), Kind::Transient),
    };
    Error::Queue { what: what.to_string(), text, kind }
}

/// The error for what took too long.
pub(crate) fn timed_out(what: impl Display) -> Error {
    Error::Queue {
        what: what.to_string(),
        text: "the broker did not answer in time".into(),
        kind: Kind::Transient,
    }
}

/// Whether the broker's certificate is at fault.
fn is_distrusted(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::IOError(error) if error.kind() == io::ErrorKind::InvalidData)
}

fn protocol(error: &lapin::Error) -> Option<AMQPErrorKind> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.kind().clone()),
        _ => None,
    }
}
