//! Names that people give, as parts of keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The name of a data set or model: 1 to 64 of `a-z 0-9 . _ -`, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A name that cannot be part of a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
)]
pub struct BadName(String);

impl Name {
    /// The nearest name to any text: lower case, with '-' for what is not allowed. What is
    /// lost on the way comes back as some digits, so that two texts stay two names.
    #[must_use]
    pub fn nearest(text: &str) -> Self {
        let safe: String = text
            .to_lowercase()
            .chars()
            .map(|c| if matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-') { c } else { '-' })
            .collect();
        let safe = safe.trim_start_matches(['.', '_', '-']);
        if !safe.is_empty() && safe.len() <= 64 && safe == text.to_lowercase() {
            return Self(safe.to_owned());
        }
        let digits = &Digest::new("name").part(text.as_bytes()).hex()[..6];
        let start = if safe.is_empty() { "dataset" } else { &safe[..safe.len().min(50)] };
        Self(format!("{}-{digits}", start.trim_end_matches('-')))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.len() <= 64 && !text.is_empty() && Self::nearest(text).0 == text {
            Ok(Self(text.into()))
        } else {
            Err(BadName(text.into()))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
