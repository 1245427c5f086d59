//! The recordings of a sealed version that a model can be measured on.
//!
//! Always holds: they are those that a training may read: with features and an age, and not
//! replaced, in the order in which they are stored.

use tokio::task::spawn_blocking;
use voxage_contract::scores::{AGE_BANDS, age_band};
use voxage_contract::{Gender, Recording, SealedManifest, keys};
use voxage_shards::{Columns, Shard};
use voxage_transport::Store;

use super::read;
use crate::{Error, Result};

/// A recording of which the age is known.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// As submitted.
    pub recording: Recording,
    /// Its age in years.
    pub age: f64,
    /// Length in seconds.
    pub duration_s: f64,
    /// SHA-256 of the file, in hex.
    pub audio_sha256: String,
    /// One value for each of the spec's columns; none where it is not known.
    pub table: Vec<Option<f64>>,
    /// Numbers of a pretrained network; none if the spec has none.
    pub embedding: Option<Vec<f32>>,
    /// The position of the fold that tests it; none if no fold does.
    pub fold: Option<usize>,
    /// Where its row is: key of the shard, and the position in it.
    pub place: (String, usize),
}

impl Case {
    /// The speaker, else the id.
    #[must_use]
    pub fn speaker(&self) -> &str {
        self.recording.group()
    }

    /// The gender, in a word.
    #[must_use]
    pub fn gender(&self) -> &'static str {
        match self.recording.gender() {
            Gender::Unspecified => "unknown",
            gender => gender.text().unwrap_or_default(),
        }
    }

    /// The band of its age.
    #[must_use]
    pub fn band(&self) -> &'static str {
        AGE_BANDS[age_band(self.age)]
    }
}

/// The recordings of a sealed manifest; memory is some kilobytes each.
///
/// # Errors
/// If a shard is damaged, or the store fails.
pub async fn cases(store: &dyn Store, manifest: &str) -> Result<Vec<Case>> {
    let sealed: SealedManifest = read(store, manifest).await?;
    let mut cases = Vec::new();
    for shard in &sealed.shards {
        let key = keys::shard(&sealed.dataset, &sealed.spec_id, &shard.id);
        let (bytes, replaced) = (store.get(&key).await?, shard.replaced.clone());
        let place = key.clone();
        let read = spawn_blocking(move || {
            let mut cases = Vec::new();
            for (i, row) in Shard::open(bytes)?.rows(Columns::Table)?.enumerate() {
                let row = row?;
                let age = row.recording.age_years;
                if let (Ok(features), Some(age)) = (row.outcome, age)
                    && !replaced.contains(&(i as u32))
                {
                    cases.push(Case {
                        recording: row.recording,
                        age,
                        duration_s: features.audio.duration_s,
                        audio_sha256: features.audio.sha256,
                        table: features.tabular,
                        embedding: features.embedding,
                        fold: None,
                        place: (place.clone(), i),
                    });
                }
            }
            Ok::<_, voxage_shards::Error>(cases)
        });
        cases.extend(read.await?.map_err(|error| Error::damaged(&key, error))?);
    }
    Ok(cases)
}
