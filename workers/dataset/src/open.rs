//! A sealed data set, open for reading.

use std::sync::Arc;

use tokio::runtime::Handle;
use voxage_contract::sealed::SEALED_FORMAT;
use voxage_contract::{SealedManifest, SealedShard, Split, keys};
use voxage_shards::{Columns, Row, Shard};
use voxage_transport::Store;

use crate::splits::{SplitRule, Splits};
use crate::stream::{Order, Samples};
use crate::{Error, Result};

/// A sealed data set. Its calls block: use it from threads, not from async code.
#[derive(Debug, Clone)]
pub struct Dataset {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Handle,
    manifest: Arc<SealedManifest>,
    splits: Arc<Splits>,
}

impl Dataset {
    /// Opens the sealed manifest at `key`: reads all shards once, to see that they are what
    /// was sealed and to learn the submitted splits.
    ///
    /// # Errors
    /// If it is not there or not readable, or divides a speaker.
    pub fn open(
        store: Arc<dyn Store>,
        runtime: &Handle,
        key: &str,
        rule: SplitRule,
    ) -> Result<Self> {
        let bytes = runtime.block_on(store.get(key))?;
        let manifest: SealedManifest =
            serde_json::from_slice(&bytes).map_err(|error| Error::damaged(key, error))?;
        if manifest.format > SEALED_FORMAT {
            return Err(Error::damaged(key, "it was sealed by a newer voxage: upgrade this one"));
        }
        let mut splits = Splits::new(rule);
        let mut dataset = Self {
            store,
            runtime: runtime.clone(),
            manifest: Arc::new(manifest),
            splits: Arc::new(splits.clone()),
        };
        for shard in &dataset.manifest.shards {
            let (key, open) = dataset.shard(shard)?;
            open.verify().map_err(|error| Error::damaged(&key, error))?;
            for row in dataset.rows(shard, Columns::Table)? {
                splits.learn(&row?.recording)?;
            }
        }
        dataset.splits = Arc::new(splits);
        Ok(dataset)
    }

    /// What is sealed.
    #[must_use]
    pub fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// The samples of one split in an order, read ahead by a thread.
    #[must_use]
    pub fn samples(&self, split: Split, order: Order, columns: Columns) -> Samples {
        Samples::start(self.clone(), split, order, columns)
    }

    /// The rows of a shard that have features and count.
    pub(crate) fn rows(
        &self,
        shard: &SealedShard,
        columns: Columns,
    ) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
        let (key, open) = self.shard(shard)?;
        let rows = open.rows(columns).map_err(|error| Error::damaged(&key, error))?;
        let replaced = shard.replaced.clone();
        Ok((0..).zip(rows).filter_map(move |(i, row)| match row {
            Err(error) => Some(Err(Error::damaged(&key, error))),
            Ok(row) => (row.outcome.is_ok() && !replaced.contains(&i)).then_some(Ok(row)),
        }))
    }

    /// A shard's key and itself.
    fn shard(&self, shard: &SealedShard) -> Result<(String, Shard)> {
        let key = keys::shard(&self.manifest.dataset, &self.manifest.spec_id, &shard.id);
        let bytes = self.runtime.block_on(self.store.get(&key))?;
        let open = Shard::open(bytes).map_err(|error| Error::damaged(&key, error))?;
        if open.footer().digest != shard.digest {
            return Err(Error::damaged(&key, "it is not the shard that was sealed"));
        }
        Ok((key, open))
    }

    pub(crate) fn split_of(&self, row: &Row) -> Split {
        self.splits.of(&row.recording)
    }
}
