//! What a command line asks for that makes no sense.

use std::fmt;
use std::ops::RangeInclusive;

/// An error of whoever wrote the command line; the program ends with code 2.
#[derive(Debug)]
pub struct Misuse(pub String);

impl std::error::Error for Misuse {}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a flag's number; what is out of range, or no number, is refused.
pub fn within(
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("it must be a number from {} to {}", range.start(), range.end())),
    }
}

/// Returns a [`Misuse`], in words.
macro_rules! misuse {
    ($($words:tt)*) => {
        return Err($crate::misuse::Misuse(format!($($words)*)).into())
    };
}
