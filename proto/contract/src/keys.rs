//! Every object key is made and parsed here.
//!
//! Always holds: keys are relative, '/'-separated and of safe characters; numbers are
//! zero-padded, so that the order of names is the order of numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::spec::SpecId;

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

/// Names a shard: 32 hexadecimal digits that follow from the spec and the recordings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub(crate) String);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where all data sets are.
pub const DATASETS: &str = "datasets/";

/// Where the plans of a data set are.
#[must_use]
pub fn plans(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/plans/")
}

/// A numbered plan.
#[must_use]
pub fn plan(dataset: &Name, number: u64) -> String {
    format!("{}{number:08}.pb.zst", plans(dataset))
}

/// Where the shards of a data set are, for all specs.
#[must_use]
pub fn all_shards(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/shards/")
}

/// Where the shards of a data set under one spec are.
#[must_use]
pub fn shards(dataset: &Name, spec: &SpecId) -> String {
    format!("{}{spec}/", all_shards(dataset))
}

/// A shard.
#[must_use]
pub fn shard(dataset: &Name, spec: &SpecId, shard: &ShardId) -> String {
    format!("{}{shard}.parquet", shards(dataset, spec))
}

/// Where the sealed manifests of a data set are.
#[must_use]
pub fn manifests(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/manifests/")
}

/// A numbered sealed manifest.
#[must_use]
pub fn manifest(dataset: &Name, number: u64) -> String {
    format!("{}{number:08}.json", manifests(dataset))
}

/// An object of one training run.
#[must_use]
pub fn run(run: &str, object: &str) -> String {
    format!("runs/{run}/{object}")
}

/// Where the versions of a model are.
#[must_use]
pub fn versions(model: &Name) -> String {
    format!("models/{model}/versions/")
}

/// The folder of a model version.
#[must_use]
pub fn version(model: &Name, number: u64) -> String {
    format!("{}{number:08}/", versions(model))
}

/// What shows that a store keeps the condition of a put: it is put again and again, and
/// stays as it was.
pub const PROBE: &str = "probe/conditional-put";

/// The data set that a key belongs to.
#[must_use]
pub fn dataset_of(key: &str) -> Option<Name> {
    key.strip_prefix(DATASETS)?.split('/').next()?.parse().ok()
}

/// The number in the first segment behind `prefix`: of a plan, manifest or version.
#[must_use]
pub fn number_of(key: &str, prefix: &str) -> Option<u64> {
    key.strip_prefix(prefix)?.split(['/', '.']).next()?.parse().ok()
}

/// The spec and the shard of a shard's key.
#[must_use]
pub fn shard_of(key: &str, dataset: &Name) -> Option<(SpecId, ShardId)> {
    let (spec, file) = key.strip_prefix(&all_shards(dataset))?.split_once('/')?;
    let shard = file.strip_suffix(".parquet")?;
    Some((SpecId(spec.into()), ShardId(shard.into())))
}

/// Names a run by what it depends on: the same request is the same run.
#[must_use]
pub fn run_id(canonical_request: &str) -> String {
    Digest::new("run").part(canonical_request.as_bytes()).hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::FeatureSpec;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read_back() {
        let name: Name = "calls-2026".parse().unwrap();
        let spec = FeatureSpec::default().id();
        let id = ShardId("0f".repeat(16));
        let key = shard(&name, &spec, &id);
        assert_eq!(shard_of(&key, &name), Some((spec, id)));
        assert_eq!(dataset_of(&key), Some(name.clone()));
        assert_eq!(number_of(&plan(&name, 7), &plans(&name)), Some(7));
        assert_eq!(number_of(&manifest(&name, 8), &manifests(&name)), Some(8));
        assert_eq!(number_of(&version(&name, 12), &versions(&name)), Some(12));
    }

    #[test]
    fn different_texts_get_different_names() {
        assert_eq!(Name::nearest("Calls-2026").as_str(), "calls-2026");
        assert!(Name::nearest("My Data (1)").as_str().starts_with("my-data--1-"));
        assert!(Name::nearest("данные").as_str().starts_with("dataset-"));
        assert_ne!(Name::nearest("данные"), Name::nearest("записи"));
    }

    proptest! {
        #[test]
        fn the_nearest_name_is_a_name(text in ".*") {
            let name = Name::nearest(&text);
            prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
        }

        #[test]
        fn names_sort_as_their_numbers(a in 0u64..100_000_000, b in 0u64..100_000_000) {
            let name = Name::nearest("x");
            prop_assert_eq!(plan(&name, a).cmp(&plan(&name, b)), a.cmp(&b));
        }
    }
}
