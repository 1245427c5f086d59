//! All recordings of one shard, with an age or without.

use voxage_contract::{Features, Recording, Reject, SealedManifest, ShardId, keys};
use voxage_shards::{Columns, Row, Shard};
use voxage_transport::Store;

use crate::fetch::blocking;
use crate::{Error, Result};

/// The recordings of a shard that count in a sealed manifest, in their order. Memory is that
/// of the shard.
///
/// # Errors
/// If the manifest has no such shard, it is damaged, or the store fails.
pub async fn rows(
    store: &dyn Store,
    manifest: &SealedManifest,
    shard: &ShardId,
) -> Result<Vec<(Recording, Result<Features, Reject>)>> {
    let key = keys::shard(&manifest.dataset, &manifest.spec_id, shard);
    // One that stands there twice was planned again with the same rows: those of before count
    // no more.
    let sealed = manifest.shards.iter().rfind(|sealed| sealed.id == *shard);
    let sealed = sealed.ok_or_else(|| Error::damaged(&key, "the manifest has no such shard"))?;
    let (bytes, replaced) = (store.get(&key).await?, sealed.replaced.clone());
    let read = blocking(move || {
        let rows = Shard::open(bytes)?.rows(Columns::All)?;
        let counting = (0..).zip(rows).filter(|(i, _)| !replaced.contains(i));
        let pair = |row: Row| (row.recording, row.outcome);
        counting.map(|(_, row)| row.map(pair)).collect::<voxage_shards::Result<Vec<_>>>()
    });
    read.await?.map_err(|error| Error::damaged(&key, error))
}
