//! What is done, failed and left, told by the store alone.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use serde::Serialize;
use voxage_contract::{Name, SpecId, keys};
use voxage_transport::Store;

use crate::Result;
use crate::seal::newest;
use crate::survey::survey;

/// A data set under one spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The data set.
    pub name: Name,
    /// The spec's id.
    pub spec: SpecId,
    /// Recordings submitted.
    pub submitted: u64,
    /// Recordings with features.
    pub rows: u64,
    /// Recordings that failed, each with its reason.
    pub rejects: u64,
    /// Recordings still to be done.
    pub left: u64,
    /// Whether the newest sealed manifest has everything that was submitted.
    pub sealed: bool,
    /// The key of the newest sealed manifest.
    pub manifest: Option<String>,
}

/// Every data set of a store under every spec that has shards of it; `spec` for those
/// that have none.
///
/// # Errors
/// If the store fails or an object of it is damaged.
pub async fn status(store: &dyn Store, spec: &SpecId) -> Result<Vec<Status>> {
    let mut statuses = Vec::new();
    for (name, mut specs) in specs(store).await? {
        if specs.is_empty() {
            specs.insert(spec.clone());
        }
        for spec in specs {
            statuses.push(one(store, name.clone(), spec).await?);
        }
    }
    Ok(statuses)
}

/// The data sets of a store.
///
/// # Errors
/// If the store fails.
pub async fn names(store: &dyn Store) -> Result<Vec<Name>> {
    Ok(specs(store).await?.into_keys().collect())
}

/// The data sets of a store, each with the specs that it has shards of.
async fn specs(store: &dyn Store) -> Result<BTreeMap<Name, BTreeSet<SpecId>>> {
    let mut found: BTreeMap<Name, BTreeSet<SpecId>> = BTreeMap::new();
    let mut listing = store.list(keys::DATASETS, None);
    while let Some(object) = listing.try_next().await? {
        let Some(name) = keys::dataset_of(&object.key) else { continue };
        let shard = keys::shard_of(&object.key, &name);
        found.entry(name).or_default().extend(shard.map(|(spec, _)| spec));
    }
    Ok(found)
}

async fn one(store: &dyn Store, name: Name, spec: SpecId) -> Result<Status> {
    let survey = survey(store, &name, &spec).await?;
    let sealed = newest(store, &name, &spec).await?.sealed;
    Ok(Status {
        submitted: survey.submitted(),
        rows: survey.made().map(|shard| shard.rows).sum(),
        rejects: survey.made().map(|shard| shard.rejects).sum(),
        left: survey.left(),
        sealed: sealed.as_ref().is_some_and(|(_, sealed)| sealed.plans == survey.plans),
        manifest: sealed.map(|(key, _)| key),
        name,
        spec,
    })
}
