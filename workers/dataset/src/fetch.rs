//! Shards, from the store or its cache into memory.
//!
//! Always holds: a shard is the sealed one, by the digest in its footer; the first time that
//! a process has its spectrograms, all rows are compared with that digest. A cached file
//! that is not what it should be is dropped and read from the store. The shards of a small
//! data set stay open from one pass to the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use futures::future::try_join_all;
use voxage_contract::{SealedShard, Split};
use voxage_shards::{Columns, Mels, Sample, SampleTable, Shard};
use voxage_transport::Store;

use crate::open::Dataset;
use crate::{Error, Result, map};

/// What is read of a shard's end at first: more than a usual footer.
const TAIL_BYTES: u64 = 64 << 10;

/// A shard as it came.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// All of it, from the cache or not.
    Whole { bytes: Bytes, cached: bool },
    /// Its table.
    Table(Arc<SampleTable>),
    /// From an earlier pass.
    Open(Arc<Opened>),
}

/// An open shard and its table.
#[derive(Debug)]
pub(crate) struct Opened {
    shard: Shard,
    table: Arc<SampleTable>,
}

/// The rows of a shard that a pass is about.
#[derive(Debug)]
pub(crate) struct Loaded {
    table: Arc<SampleTable>,
    mels: Option<Mels>,
    rows: Vec<usize>,
}

impl Loaded {
    /// Rows of the pass.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Makes ready for a row of the pass that will be asked for soon.
    pub(crate) fn prefetch(&self, place: usize) {
        if let Some(mels) = &self.mels {
            mels.prefetch(place);
        }
    }

    /// A row of the pass, by its position among them; `scratch` as [`Mels::unpack`] has it.
    pub(crate) fn sample(
        &self,
        place: usize,
        scratch: &mut BytesMut,
    ) -> voxage_shards::Result<Sample> {
        let row = self.rows[place];
        match &self.mels {
            None => Ok(self.table.sample(row)),
            Some(mels) => self.table.sample_with(row, mels, place, scratch),
        }
    }
}

/// The table of a shard, with the values of a column if one is named, of as few of its bytes
/// as need be.
pub(crate) async fn table(
    store: &dyn Store,
    key: &str,
    sealed: &SealedShard,
    column: Option<&str>,
) -> Result<SampleTable> {
    let damaged = |error: voxage_shards::Error| Error::damaged(key, error);
    let range = async |range| match store.get_range(key, range).await {
        Err(voxage_transport::Error::BadRange { .. }) => {
            Err(Error::damaged(key, "it is shorter than what was sealed"))
        }
        read => Ok(read?),
    };
    let mut tail_bytes = TAIL_BYTES.min(sealed.bytes);
    let (tail, shard) = loop {
        let tail: Bytes = range(sealed.bytes - tail_bytes..sealed.bytes).await?;
        match Shard::open_tail(&tail, sealed.bytes).map_err(damaged)? {
            Ok(shard) => break (tail, shard),
            Err(needed) if needed > tail_bytes && needed <= sealed.bytes => tail_bytes = needed,
            Err(_) => return Err(Error::damaged(key, "its footer is cut off")),
        }
    };
    is_sealed(&shard, key, sealed)?;
    let at_hand = sealed.bytes - tail_bytes;
    let parts = shard.table_ranges().into_iter().filter(|range| range.start < at_hand);
    let parts = parts.map(async |part| Ok::<_, Error>((part.start, range(part).await?)));
    let mut parts = try_join_all(parts).await?;
    parts.push((at_hand, tail));
    let column = column.map(str::to_owned);
    let read = move || shard.with_parts(parts).samples(column.as_deref());
    blocking(read).await?.map_err(damaged)
}

/// Does work off the async runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(voxage_transport::Error::from)?)
}

/// A shard as `columns` need it.
pub(crate) async fn fetch(dataset: &Dataset, shard: usize, columns: Columns) -> Result<Fetched> {
    if let Some(open) = dataset.opened.get(shard).and_then(OnceLock::get) {
        return Ok(match columns {
            Columns::Table => Fetched::Table(Arc::clone(&open.table)),
            Columns::All => Fetched::Open(Arc::clone(open)),
        });
    }
    let (key, sealed) = dataset.shard(shard);
    if columns == Columns::Table {
        let table = table(&*dataset.store, &key, sealed, dataset.column()).await?;
        return Ok(Fetched::Table(Arc::new(table)));
    }
    if let Some(path) = dataset.store.local_path(&key) {
        // What cannot be read there says why when it is read as any object.
        if let Ok(bytes) = blocking(move || map::read(&path)).await? {
            return Ok(Fetched::Whole { bytes, cached: false });
        }
    } else if let Some(cache) = dataset.cache.clone() {
        let sealed = sealed.clone();
        if let Some(bytes) = blocking(move || cache.get(&sealed)).await? {
            return Ok(Fetched::Whole { bytes, cached: true });
        }
    }
    Ok(Fetched::Whole { bytes: dataset.store.get(&key).await?, cached: false })
}

/// The rows of a split in a shard that came. Computes, and may read a cached shard again.
pub(crate) fn load(
    dataset: &Dataset,
    shard: usize,
    split: Split,
    fetched: Fetched,
) -> Result<Loaded> {
    let (key, sealed) = dataset.shard(shard);
    let damaged = |error: voxage_shards::Error| Error::damaged(&key, error);
    let (open, table) = match fetched {
        Fetched::Table(table) => (None, table),
        Fetched::Open(open) => (Some(Arc::clone(&open)), Arc::clone(&open.table)),
        Fetched::Whole { bytes, cached } => {
            let verified = &dataset.verified[shard];
            let open = match checked(bytes.clone(), &key, sealed, verified) {
                Err(_) if cached => {
                    dataset.cache.iter().for_each(|cache| cache.drop(sealed));
                    let bytes = dataset.runtime.block_on(dataset.store.get(&key))?;
                    keep(dataset, &bytes, checked(bytes.clone(), &key, sealed, verified)?, sealed)
                }
                open if cached => open?,
                open => keep(dataset, &bytes, open?, sealed),
            };
            let table = Arc::new(open.samples(dataset.column()).map_err(damaged)?);
            let open = Arc::new(Opened { shard: open, table: Arc::clone(&table) });
            if let Some(opened) = dataset.opened.get(shard) {
                // Another pass may have been faster.
                let _ = opened.set(Arc::clone(&open));
            }
            (Some(open), table)
        }
    };
    let rows = dataset.counted(&table, shard, split);
    let mels =
        open.map(|open| Mels::find(&open.shard, &table, &rows)).transpose().map_err(damaged)?;
    Ok(Loaded { table, mels, rows })
}

/// A shard that was checked goes into the cache.
fn keep(dataset: &Dataset, bytes: &Bytes, open: Shard, sealed: &SealedShard) -> Shard {
    dataset.cache.iter().for_each(|cache| cache.put(sealed, bytes));
    open
}

/// Opens a shard and sees that it is what was sealed.
fn checked(bytes: Bytes, key: &str, sealed: &SealedShard, verified: &AtomicBool) -> Result<Shard> {
    let open = Shard::open(bytes).map_err(|error| Error::damaged(key, error))?;
    is_sealed(&open, key, sealed)?;
    if !verified.load(Ordering::Relaxed) {
        open.verify().map_err(|error| Error::damaged(key, error))?;
        verified.store(true, Ordering::Relaxed);
    }
    Ok(open)
}

fn is_sealed(shard: &Shard, key: &str, sealed: &SealedShard) -> Result<()> {
    if shard.footer().digest == sealed.digest {
        Ok(())
    } else {
        Err(Error::damaged(key, "it is not the shard that was sealed"))
    }
}
