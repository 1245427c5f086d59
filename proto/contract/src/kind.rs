//! What an error asks of whoever meets it: the one question that every crate's
//! error type answers.

/// What to do next about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The world was in the way (network, disk, broker): the same call may succeed later.
    Transient,
    /// The input is wrong: the same call will fail again until a person changes something.
    Permanent,
    /// voxage is wrong: neither waiting nor another input helps.
    Bug,
}
