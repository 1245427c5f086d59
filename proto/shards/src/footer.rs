//! What a shard's footer says of it, readable without its rows.

use parquet::file::metadata::{KeyValue, ParquetMetaData};
use voxage_contract::FeatureSpec;
use voxage_contract::spec::EXTRACTOR_VERSION;

use crate::row::{Row, digest, sources_digest};
use crate::{Error, Result};

/// What a shard says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The shard's id.
    pub shard: String,
    /// The spec of its features.
    pub spec: FeatureSpec,
    /// The spec's id.
    pub spec_id: String,
    /// Recordings with features.
    pub rows: u64,
    /// Recordings without.
    pub rejects: u64,
    /// Digest of everything that was made of the recordings.
    pub digest: String,
    /// Digest of the audio files' own digests.
    pub sources: String,
}

impl Footer {
    /// The footer of a shard of `rows`.
    pub(crate) fn of(shard: &str, spec: &FeatureSpec, rows: &[Row]) -> Self {
        let good = rows.iter().filter(|row| row.outcome.is_ok()).count();
        Self {
            shard: shard.to_owned(),
            spec: spec.clone(),
            spec_id: spec.id().to_string(),
            rows: good as u64,
            rejects: (rows.len() - good) as u64,
            digest: digest(rows),
            sources: sources_digest(rows),
        }
    }

    pub(crate) fn from_parquet(metadata: &ParquetMetaData) -> Result<Self> {
        let pairs = metadata.file_metadata().key_value_metadata();
        let get = |key: &str| {
            let pair = pairs.into_iter().flatten().find(|pair| pair.key == key);
            pair.and_then(|pair| pair.value.clone())
                .ok_or_else(|| Error::NotAShard(format!("its footer has no {key}")))
        };
        let number = |key: &str| {
            get(key)?.parse().map_err(|_| Error::NotAShard(format!("{key} is no number")))
        };
        let spec = serde_json::from_str(&get("voxage.spec")?)
            .map_err(|error| Error::NotAShard(format!("voxage.spec: {error}")))?;
        Ok(Self {
            shard: get("voxage.shard")?,
            spec,
            spec_id: get("voxage.spec_id")?,
            rows: number("voxage.rows")?,
            rejects: number("voxage.rejects")?,
            digest: get("voxage.digest")?,
            sources: get("voxage.sources")?,
        })
    }

    pub(crate) fn to_pairs(&self) -> Vec<KeyValue> {
        [
            ("voxage.shard", self.shard.clone()),
            ("voxage.spec", self.spec.canonical_json()),
            ("voxage.spec_id", self.spec_id.clone()),
            ("voxage.extractor_version", EXTRACTOR_VERSION.to_string()),
            ("voxage.rows", self.rows.to_string()),
            ("voxage.rejects", self.rejects.to_string()),
            ("voxage.digest", self.digest.clone()),
            ("voxage.sources", self.sources.clone()),
        ]
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .into()
    }
}
