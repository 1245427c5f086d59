//! Whether a data set is what was submitted: everything checked, nothing believed.
//!
//! Always holds: every object is read. Memory is 16 bytes a recording and one shard.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use serde::Serialize;
use tokio::task::spawn_blocking;
use voxage_contract::{Name, SealedManifest, SealedShard, keys};
use voxage_shards::{Columns, Shard};
use voxage_transport::Store;

use crate::check::hash;
use crate::register::Register;
use crate::seal::newest;
use crate::{Result, plan, submit};

/// Problems of one kind that are told one by one.
const TOLD: usize = 20;

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// The sealed manifest that was verified.
    pub manifest: Option<String>,
    /// Ids that were submitted.
    pub submitted: u64,
    /// Rows with features.
    pub rows: u64,
    /// Rows that are rejects.
    pub rejects: u64,
    /// Shards that were read.
    pub shards: u64,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// Verifies the newest sealed version of a data set: that every submitted id is in it
/// exactly once, that every shard can be read and is the one that was sealed, and that
/// the store holds nothing that voxage does not make.
///
/// # Errors
/// If the store fails.
pub async fn verify(store: &dyn Store, dataset: &Name) -> Result<Verified> {
    let mut found = Verified::default();
    strangers(store, &mut found).await?;
    let register = Register::read(store, dataset).await?;
    if register.last() == 0 {
        found.problems.push(format!("nothing was submitted to a data set '{dataset}'"));
        return Ok(found);
    }
    if let Some(batch) = register.next_unplanned() {
        found.problems.push(format!("batch {dataset}@{batch} is not planned"));
    }
    let mut ids = submitted(store, dataset, &register).await?;
    found.submitted = ids.len() as u64;
    match sealed(store, dataset, &register).await? {
        Ok((key, sealed)) => {
            found.manifest = Some(key);
            for shard in &sealed.shards {
                read(store, &sealed, shard, &mut ids, &mut found).await?;
            }
            if (sealed.rows, sealed.rejects) != (found.rows, found.rejects) {
                found.problems.push(format!(
                    "the manifest counts {} rows and {} rejects, the shards have {} and {}",
                    sealed.rows, sealed.rejects, found.rows, found.rejects
                ));
            }
            let missing = ids.values().filter(|count| **count == 0).count();
            if missing > 0 {
                found.problems.push(format!("{missing} submitted ids are in no shard"));
            }
        }
        Err(problem) => found.problems.push(problem),
    }
    found.ok = found.problems.is_empty();
    Ok(found)
}

/// Tells of objects that have no place in the layout.
async fn strangers(store: &dyn Store, found: &mut Verified) -> Result<()> {
    let (mut listing, mut count) = (store.list("", None), 0);
    while let Some(object) = listing.try_next().await? {
        if !keys::is_known(&object.key) {
            count += 1;
            if count <= TOLD {
                found.problems.push(format!("{}: no object of voxage's has this key", object.key));
            }
        }
    }
    Ok(())
}

/// The ids of all batches that count, each seen no time yet.
async fn submitted(
    store: &dyn Store,
    dataset: &Name,
    register: &Register,
) -> Result<HashMap<u64, u8>> {
    let mut ids = HashMap::new();
    for number in register.standing() {
        for part in submit::read(store, dataset, number).await?.parts {
            let recordings = submit::recordings(store, dataset, &part).await?;
            ids.extend(recordings.iter().map(|recording| (hash(&recording.id), 0)));
        }
    }
    Ok(ids)
}

/// The newest sealed manifest, if it covers everything.
async fn sealed(
    store: &dyn Store,
    dataset: &Name,
    register: &Register,
) -> Result<Result<(String, SealedManifest), String>> {
    let Some(batch) = register.newest() else {
        return Ok(Err(format!("data set '{dataset}' has no batch that counts")));
    };
    let spec = submit::read(store, dataset, batch).await?.spec;
    let Some((key, sealed)) = newest(store, dataset, &spec.id()).await?.sealed else {
        return Ok(Err(format!(
            "data set '{dataset}' is not sealed under its newest batch's spec"
        )));
    };
    let plans = plan::numbers(store, dataset).await?.last().copied().unwrap_or(0);
    if sealed.plans != plans || !register.cancelled().iter().eq(&sealed.cancelled) {
        return Ok(Err(format!("{key} does not cover what was submitted or cancelled since")));
    }
    Ok(Ok((key, sealed)))
}

/// Reads one shard whole and counts its ids.
async fn read(
    store: &dyn Store,
    manifest: &SealedManifest,
    sealed: &SealedShard,
    ids: &mut HashMap<u64, u8>,
    found: &mut Verified,
) -> Result<()> {
    let key = keys::shard(&manifest.dataset, &manifest.spec_id, &sealed.id);
    let bytes = match store.get(&key).await {
        Err(voxage_transport::Error::NotFound(_)) => {
            found.problems.push(format!(
                "{key}: the shard is not there: a coordinator has it made anew within ten minutes"
            ));
            return Ok(());
        }
        bytes => bytes?,
    };
    let (digest, replaced) = (sealed.digest.clone(), sealed.replaced.clone());
    let work = spawn_blocking(move || {
        let shard = Shard::open(bytes)?;
        shard.verify()?;
        let (mut rows, mut rejects, mut counted) = (0, 0, Vec::new());
        for (i, row) in (0..).zip(shard.rows(Columns::All)?) {
            let row = row?;
            if !replaced.contains(&i) {
                counted.push((hash(&row.recording.id), row.recording.id));
                *(if row.outcome.is_ok() { &mut rows } else { &mut rejects }) += 1;
            }
        }
        Ok::<_, voxage_shards::Error>((rows, rejects, counted, shard.footer().digest == digest))
    });
    match work.await? {
        Err(error) => found.problems.push(format!("{key}: {error}")),
        Ok((rows, rejects, counted, same)) => {
            found.shards += 1;
            found.rows += rows;
            found.rejects += rejects;
            if !same {
                found.problems.push(format!("{key}: it is not the shard that was sealed"));
            }
            for (hash, id) in counted {
                match ids.get_mut(&hash) {
                    None => found.problems.push(format!("{key}: nobody submitted id '{id}'")),
                    Some(0) => {
                        ids.insert(hash, 1);
                    }
                    Some(_) => found.problems.push(format!("{key}: id '{id}' counts twice")),
                }
            }
        }
    }
    Ok(())
}
