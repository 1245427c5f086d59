//! The sealed manifest: a numbered version of a data set, which a training pins.
//!
//! Always holds: every id that was submitted up to plan `plans`, and not cancelled, is in
//! it exactly once, as a row or as a reject.

use serde::{Deserialize, Serialize};

use crate::keys::{Name, ShardId};
use crate::spec::{FeatureSpec, SpecId};

/// A sealed version of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedManifest {
    /// 1; a reader refuses a higher one.
    pub format: u32,
    /// The data set.
    pub dataset: Name,
    /// The spec of all its shards.
    pub spec: FeatureSpec,
    /// The spec's id, which also fixes the extractor's version.
    pub spec_id: SpecId,
    /// The number of the last plan that it covers.
    pub plans: u64,
    /// The batches among these plans that were cancelled: nothing of them is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<u64>,
    /// Recordings: rows + rejects.
    pub submitted: u64,
    /// Recordings with features.
    pub rows: u64,
    /// Recordings without, each with its reason.
    pub rejects: u64,
    /// Where the rows are, in the order of the plans.
    pub shards: Vec<SealedShard>,
}

/// One shard of a sealed version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedShard {
    /// Its name.
    pub id: ShardId,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// Digest of its rows: tells which of several attempts won.
    pub digest: String,
    /// Its rows with features that count.
    pub rows: u64,
    /// Its rejects that count.
    pub rejects: u64,
    /// Positions of rows that a later submission replaced: they do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<u32>,
}

/// The format that this build writes and the highest that it reads.
pub const SEALED_FORMAT: u32 = 1;
