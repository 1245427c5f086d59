//! A batch: what one submission of a manifest asks of a data set.
//!
//! Always holds: the rows lie in parts, objects named by what is in them, which were
//! there before the batch was. The same manifest submitted again has the same parts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::keys::Name;
use crate::spec::FeatureSpec;

/// The format that this build writes and the highest that it reads.
pub const BATCH_FORMAT: u32 = 1;

/// What was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// 1; a reader refuses a higher one.
    pub format: u32,
    /// URI that the paths are relative to, ending in '/'.
    pub audio_root: String,
    /// The features to be made.
    pub spec: FeatureSpec,
    /// How the rows are cut into shards.
    pub shards: ShardLimits,
    /// Whether sizes and etags of the sources are looked up when it is planned.
    pub stat_sources: bool,
    /// Whether a schedule submitted it: its tasks have a queue of their own, so that they and
    /// those of a large batch do not wait for each other.
    #[serde(default)]
    pub scheduled: bool,
    /// Recordings.
    pub recordings: u64,
    /// Digests of its parts, in the manifest's order.
    pub parts: Vec<String>,
    /// The span of its submission, as W3C's `traceparent` has it, if spans were collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How much goes into one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardLimits {
    /// Recordings, at most.
    pub recordings: usize,
    /// Bytes of audio, at most, unless one recording alone has more.
    pub bytes: u64,
}

/// Names a batch to people: `data-set@number`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId {
    /// The data set.
    pub dataset: Name,
    /// 1 for the first.
    pub number: u64,
}

/// A text that names no batch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no batch: write the data set and the number, as in calls-2026@7")]
pub struct BadBatch(String);

impl FromStr for BatchId {
    type Err = BadBatch;

    fn from_str(text: &str) -> Result<Self, BadBatch> {
        let parts = text.split_once('@').and_then(|(dataset, number)| {
            let number = number.parse().ok().filter(|number| *number > 0)?;
            Some(Self { dataset: dataset.parse().ok()?, number })
        });
        parts.ok_or_else(|| BadBatch(text.into()))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset, self.number)
    }
}

impl TryFrom<String> for BatchId {
    type Error = BadBatch;

    fn try_from(text: String) -> Result<Self, BadBatch> {
        text.parse()
    }
}

impl From<BatchId> for String {
    fn from(id: BatchId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_named_by_data_set_and_number() {
        let id: BatchId = "calls-2026@7".parse().unwrap();
        assert_eq!((id.dataset.as_str(), id.number), ("calls-2026", 7));
        assert_eq!(id.to_string(), "calls-2026@7");
        for bad in ["calls", "calls@", "calls@0", "@7", "Calls@7", "a@7@8"] {
            assert!(bad.parse::<BatchId>().is_err(), "{bad}");
        }
    }
}
