//! Sealing: a complete data set becomes a numbered version that a training can pin.

use voxage_contract::sealed::SEALED_FORMAT;
use voxage_contract::{FeatureSpec, Name, SealedManifest, SpecId, keys};
use voxage_transport::{Put, Store, StoreExt as _};

use crate::register::Register;
use crate::survey::{Seen, survey};
use crate::{Error, Result};

/// Seals a data set under a spec and gives the manifest's key. What is sealed already is
/// not sealed again.
///
/// # Errors
/// If shards are missing, or the store fails.
pub async fn seal(
    store: &dyn Store,
    dataset: &Name,
    spec: &FeatureSpec,
) -> Result<(String, SealedManifest)> {
    if let Some(batch) = Register::read(store, dataset).await?.next_unplanned() {
        return Err(Error::Unplanned { dataset: dataset.to_string(), batch });
    }
    seal_planned(store, dataset, spec).await
}

/// The same of what is planned, whatever else is submitted.
pub(crate) async fn seal_planned(
    store: &dyn Store,
    dataset: &Name,
    spec: &FeatureSpec,
) -> Result<(String, SealedManifest)> {
    let spec_id = spec.id();
    // What was sealed before need not be looked at again.
    let before = newest(store, dataset, &spec_id).await?.sealed;
    let before = before.into_iter().flat_map(|(_, sealed)| sealed.shards);
    let mut seen: Seen = before.map(|shard| (shard.id.clone(), shard)).collect();
    let survey = survey(store, dataset, &spec_id, &mut seen, true).await?;
    if survey.plans == 0 {
        return Err(Error::Empty(dataset.to_string()));
    }
    let shards: Vec<_> = survey.made().cloned().collect();
    let submitted = survey.submitted();
    let manifest = SealedManifest {
        format: SEALED_FORMAT,
        dataset: dataset.clone(),
        spec: spec.clone(),
        spec_id,
        plans: survey.plans,
        cancelled: survey.cancelled.into_iter().collect(),
        submitted,
        rows: shards.iter().map(|shard| shard.rows).sum(),
        rejects: shards.iter().map(|shard| shard.rejects).sum(),
        shards,
    };
    loop {
        let newest = newest(store, dataset, &manifest.spec_id).await?;
        if let Some((key, sealed)) = newest.sealed
            && sealed == manifest
        {
            return Ok((key, sealed));
        }
        let key = keys::manifest(dataset, newest.number + 1);
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::damaged(&key, e))?;
        if store.put_new(&key, bytes.into()).await? == Put::Created {
            return Ok((key, manifest));
        }
    }
}

/// The key of the newest sealed manifest of a data set, under any spec.
///
/// # Errors
/// If the store fails.
pub async fn newest_key(store: &dyn Store, dataset: &Name) -> Result<Option<String>> {
    Ok(store.keys(&keys::manifests(dataset)).await?.pop())
}

/// The end of a data set's list of manifests.
pub(crate) struct Newest {
    /// The highest number in use; 0 if there is none.
    pub number: u64,
    /// The newest manifest of the spec asked for.
    pub sealed: Option<(String, SealedManifest)>,
}

/// Finds the newest manifest of a spec.
pub(crate) async fn newest(store: &dyn Store, dataset: &Name, spec: &SpecId) -> Result<Newest> {
    let keys = store.keys(&keys::manifests(dataset)).await?;
    let number = keys.last().and_then(|key| keys::number_of(key, &keys::manifests(dataset)));
    for key in keys.into_iter().rev() {
        let sealed: SealedManifest = serde_json::from_slice(&store.get(&key).await?)
            .map_err(|error| Error::damaged(&key, error))?;
        if sealed.spec_id == *spec {
            return Ok(Newest { number: number.unwrap_or(0), sealed: Some((key, sealed)) });
        }
    }
    Ok(Newest { number: number.unwrap_or(0), sealed: None })
}
