//! What a command line asks for that makes no sense.

use std::fmt;

/// An error of whoever wrote the command line; the program ends with code 2.
#[derive(Debug)]
pub struct Misuse(pub String);

impl std::error::Error for Misuse {}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a [`Misuse`], in words.
macro_rules! misuse {
    ($($words:tt)*) => {
        return Err($crate::misuse::Misuse(format!($($words)*)).into())
    };
}
