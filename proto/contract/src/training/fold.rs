//! What a training of a cross-validation holds out.
//!
//! Always holds: a fold follows from what was submitted alone, and names itself what it
//! needs to, so that a training needs nothing but its request.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A part of the recordings: the test split of a cross-validation's training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fold {
    /// Those of a part of the speakers, by hash.
    Speakers {
        /// Which part, from 0.
        index: u64,
        /// How many there are.
        of: u64,
    },
    /// Those that have one of some values in a column. What else their speakers said is left
    /// out of the training.
    Values {
        /// The column, as [`crate::Recording::value`] takes it.
        column: String,
        /// The values; an empty one is that of recordings without.
        values: Vec<String>,
    },
}

impl Fold {
    /// Whether a recording is in it, by its speaker (else its id) and its value in the column.
    #[must_use]
    pub fn has(&self, speaker: &str, value: &str) -> bool {
        match self {
            Self::Speakers { index, of } => Self::part(speaker, *of) == *index,
            Self::Values { values, .. } => values.iter().any(|held_out| held_out == value),
        }
    }

    /// The column that it looks at, if it does.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Speakers { .. } => None,
            Self::Values { column, .. } => Some(column),
        }
    }

    /// The part, of so many, that the hash puts a text into: its SHA-256 as a big-endian
    /// integer, modulo their number.
    #[must_use]
    pub fn part(text: &str, of: u64) -> u64 {
        let of = u128::from(of.max(1));
        let bytes = Sha256::digest(text.as_bytes());
        bytes.iter().fold(0, |rest, byte| (rest * 256 + u128::from(*byte)) % of) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_those_of_the_hash() {
        // Python: int.from_bytes(hashlib.sha256(b"saa-english1").digest(), "big") % 5
        for (speaker, expected) in [("saa-english1", 3), ("a", 4), ("", 4)] {
            for index in 0..5 {
                let fold = Fold::Speakers { index, of: 5 };
                assert_eq!(fold.has(speaker, "x"), index == expected, "{speaker}");
            }
        }
    }

    #[test]
    fn folds_of_both_kinds_are_read_back() {
        let speakers = Fold::Speakers { index: 1, of: 5 };
        let values = Fold::Values { column: "source".into(), values: vec!["a".into(), "".into()] };
        assert!(values.has("anyone", "") && values.has("anyone", "a") && !values.has("a", "b"));
        for (fold, text) in [
            (speakers, r#"{"index":1,"of":5}"#),
            (values, r#"{"column":"source","values":["a",""]}"#),
        ] {
            assert_eq!(serde_json::to_string(&fold).unwrap(), text);
            assert_eq!(serde_json::from_str::<Fold>(text).unwrap(), fold);
        }
    }
}
