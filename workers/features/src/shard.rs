//! One task into one shard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::task::spawn_blocking;
use tracing::{Instrument as _, Span, debug, debug_span};
use voxage_contract::wire::WireError;
use voxage_contract::{FeatureSpec, Name, Recording, Reject, Task, keys};
use voxage_shards::{Row, encode};
use voxage_transport::{Store, StoreExt as _};

use crate::isolated::Isolation;
use crate::pool::Pool;
use crate::worker::Progress;
use crate::{Error, Result, took};

/// What came of a task.
pub(crate) enum Made {
    /// Its shard was written, after this long a time of extraction.
    Shard(Duration),
    /// There was nothing to do, for this reason.
    Nothing(&'static str),
}

/// Makes the shard of a task, unless it is there or its batch is cancelled.
pub(crate) async fn make(
    store: &dyn Store,
    pool: &Arc<Pool>,
    isolation: Option<Isolated<'_>>,
    progress: &Progress,
    payload: &[u8],
) -> Result<Made> {
    let (task, spec) = Task::read(payload)?;
    let dataset: Name =
        task.dataset.parse().map_err(|_| WireError::Inconsistent("its data set has no name"))?;
    Span::current()
        .record("batch", format!("{dataset}@{}", task.batch))
        .record("shard", &task.shard_id);
    let key = keys::shard(&dataset, &spec.id(), &task.shard());
    if store.exists(&key).await? {
        progress.skipped(task.recordings.len());
        return Ok(Made::Nothing("its shard is there"));
    }
    if task.batch > 0 && store.exists(&keys::cancelled(&dataset, task.batch)).await? {
        return Ok(Made::Nothing("its batch is cancelled"));
    }
    let _held = progress.hold(&task.shard_id);
    let (shard_id, start) = (task.shard_id.clone(), Instant::now());
    let rows = match isolation {
        Some(Isolated { isolation, last }) => {
            let rows = isolation.extract(task, spec.clone(), pool).collect().await;
            let rows = if last { given_up(rows) } else { rows };
            collect(stream::iter(rows.into_iter().map(|(_, row)| row)), progress).await?
        }
        None => collect(pool.extract(&spec, &task.audio_root, task.recordings), progress).await?,
    };
    let encoding = Instant::now();
    let encode = spawn_blocking(move || encode(&shard_id, &spec, &rows));
    let bytes = encode.instrument(debug_span!("encode")).await??;
    took("encode", encoding);
    let (work, storing) = (start.elapsed(), Instant::now());
    // Created or there already: either way the shard is whole.
    store.put_new(&key, bytes).instrument(debug_span!("store")).await?;
    took("store", storing);
    Ok(Made::Shard(work))
}

/// How the recordings of a task are extracted that was lost before.
pub(crate) struct Isolated<'a> {
    pub isolation: &'a Isolation,
    /// Whether what cannot be read now never will be.
    pub last: bool,
}

/// What could not be read, again and again, although others of the task could: a reject, so
/// that it does not keep them from being done.
fn given_up(rows: Vec<(Recording, Result<Row>)>) -> Vec<(Recording, Result<Row>)> {
    if !rows.iter().any(|(_, row)| row.is_ok()) {
        return rows;
    }
    let settle = |(recording, row): (Recording, Result<Row>)| match row {
        Err(Error::Isolated { why, .. }) => {
            let message = format!("it could not be read, other recordings could: {why}");
            let outcome = Err(Reject::new("fetch", "unreachable_audio", message));
            let row = Row { recording: Recording { reject: None, ..recording.clone() }, outcome };
            (recording, Ok(row))
        }
        row => (recording, row),
    };
    rows.into_iter().map(settle).collect()
}

async fn collect(rows: impl Stream<Item = Result<Row>>, progress: &Progress) -> Result<Vec<Row>> {
    let told = rows.inspect_ok(|row| {
        match &row.outcome {
            Ok(_) => debug!(recording = row.recording.id, "extracted"),
            Err(reject) => debug!(recording = row.recording.id, code = reject.code, "rejected"),
        }
        progress.done(row);
    });
    told.try_collect().await
}

/// Makes the shard of a task and gives its bytes: what a process of [`Isolation`] does.
///
/// # Errors
/// If the payload is no task, or the world is in the way.
pub async fn answer(pool: &Arc<Pool>, payload: &[u8]) -> Result<Bytes> {
    let (task, spec): (Task, FeatureSpec) = Task::read(payload)?;
    let rows: Vec<Row> =
        pool.extract(&spec, &task.audio_root, task.recordings).try_collect().await?;
    Ok(spawn_blocking(move || encode(&task.shard_id, &spec, &rows)).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alone_cannot_be_read_is_given_up() {
        let recording = |id: &str| Recording { id: id.into(), ..Recording::default() };
        let unread = |id: &str| {
            let why = "the server answers 500".into();
            (recording(id), Err(Error::Isolated { path: id.into(), why }))
        };
        let row = Row { recording: recording("a"), outcome: Err(Reject::new("decode", "x", "")) };
        let rows = given_up(vec![(recording("a"), Ok(row)), unread("b")]);
        let reject = rows[1].1.as_ref().unwrap().outcome.as_ref().unwrap_err();
        assert_eq!(reject.code, "unreachable_audio");
        assert!(reject.message.contains("answers 500"), "{}", reject.message);
        // Where nothing can be read, it is not their fault.
        assert!(given_up(vec![unread("a"), unread("b")]).iter().all(|(_, row)| row.is_err()));
    }
}
