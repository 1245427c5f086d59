//! One task into one shard.

use std::sync::Arc;

use futures::TryStreamExt as _;
use tokio::task::spawn_blocking;
use voxage_contract::wire::WireError;
use voxage_contract::{FeatureSpec, Task, keys};
use voxage_shards::{Row, encode};
use voxage_transport::{Store, StoreExt as _};

use crate::Result;
use crate::pool::Pool;
use crate::worker::Progress;

/// Makes the shard of a task, unless it is there.
pub(crate) async fn make(
    store: &dyn Store,
    pool: &Arc<Pool>,
    progress: &Progress,
    payload: &[u8],
) -> Result<()> {
    let (task, spec) = Task::read(payload)?;
    let key = shard_key(&task, &spec)?;
    if store.exists(&key).await? {
        progress.skipped(task.recordings.len());
        return Ok(());
    }
    let Task { shard_id, audio_root, recordings, .. } = task;
    let rows = pool.extract(&spec, &audio_root, recordings);
    let rows: Vec<Row> = rows.inspect_ok(|row| progress.done(row)).try_collect().await?;
    let bytes = spawn_blocking(move || encode(&shard_id, &spec, &rows)).await??;
    // Created or there already: either way the shard is whole.
    store.put_new(&key, bytes).await?;
    Ok(())
}

/// Where the shard of a task goes: it follows from the task's contents.
fn shard_key(task: &Task, spec: &FeatureSpec) -> Result<String> {
    let dataset =
        task.dataset.parse().map_err(|_| WireError::Inconsistent("its data set has no name"))?;
    Ok(keys::shard(&dataset, &spec.id(), &task.shard()))
}
