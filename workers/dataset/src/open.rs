//! A sealed data set, open for reading.
//!
//! Always holds: what is in memory is some bytes a shard, and the speakers whose split was
//! submitted or who have a value that is held out; of a data set that is no larger than a
//! block, also what was read of it. A row counts if it has features and an
//! age and was not replaced.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;
use voxage_contract::sealed::SEALED_FORMAT;
use voxage_contract::{SealedManifest, SealedShard, Split, keys};
use voxage_shards::{Columns, SampleTable};
use voxage_transport::Store;

use crate::batches::{Batches, Samples};
use crate::cache::Cache;
use crate::fetch::{self, Opened};
use crate::order::{BLOCK_BYTES, Order, Place, Plan, Stock};
use crate::quality::Quality;
use crate::splits::{SplitRule, Splits, Standing};
use crate::{Error, Result};

/// Shards whose tables are read at a time.
const READERS: usize = 32;

/// A sealed data set. Its calls block: use it from threads, not from async code.
#[derive(Debug, Clone)]
pub struct Dataset {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Handle,
    pub(crate) cache: Option<Cache>,
    /// Which shards were compared with their digests.
    pub(crate) verified: Arc<[AtomicBool]>,
    /// What was opened, if all of it together is no more than a block.
    pub(crate) opened: Arc<[OnceLock<Arc<Opened>>]>,
    manifest: Arc<SealedManifest>,
    splits: Arc<Splits>,
    tallies: Arc<[Tally]>,
    stop: Arc<AtomicBool>,
}

/// One pass over a split.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// The split.
    pub split: Split,
    /// In which order.
    pub order: Order,
    /// With spectrograms or without.
    pub columns: Columns,
    /// Position of the first sample: what is before it is neither read nor counted.
    pub start: u64,
}

/// The rows of a shard that count, by [`Standing`].
type Tally = [u32; 5];

impl Dataset {
    /// Opens the sealed manifest at `key`: reads the tables of all shards once, to learn the
    /// submitted splits and how many rows of each split a shard has. Whole shards that are
    /// read later are kept in the cache, if there is one.
    ///
    /// # Errors
    /// If it is not there, not readable or not what was sealed, or divides a speaker.
    pub fn open(
        store: Arc<dyn Store>,
        runtime: &Handle,
        key: &str,
        rule: SplitRule,
        cache: Option<Cache>,
    ) -> Result<Self> {
        let bytes = runtime.block_on(store.get(key))?;
        let manifest: SealedManifest =
            serde_json::from_slice(&bytes).map_err(|error| Error::damaged(key, error))?;
        if manifest.format > SEALED_FORMAT {
            return Err(Error::damaged(key, "it was sealed by a newer voxage: upgrade this one"));
        }
        let bytes: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
        let n_opened = if bytes <= BLOCK_BYTES { manifest.shards.len() } else { 0 };
        let mut dataset = Self {
            // A store on this machine needs none.
            cache: cache.filter(|_| store.local_path(key).is_none()),
            store,
            runtime: runtime.clone(),
            verified: manifest.shards.iter().map(|_| AtomicBool::new(false)).collect(),
            opened: (0..n_opened).map(|_| OnceLock::new()).collect(),
            splits: Arc::new(Splits::new(rule)),
            tallies: Arc::new([]),
            manifest: Arc::new(manifest),
            stop: Arc::default(),
        };
        runtime.clone().block_on(dataset.count())?;
        Ok(dataset)
    }

    async fn count(&mut self) -> Result<()> {
        let mut splits = Splits::new(self.splits.rule.clone());
        let mut tallies = vec![Tally::default(); self.manifest.shards.len()];
        let mut unsure = Vec::new();
        let mut tables = self.tables(0..tallies.len());
        while let Some((shard, table)) = tables.try_next().await? {
            let mut all_say = self.column().is_none();
            for sample in self.rows(&table, shard).map(|row| table.sample(row)) {
                splits.learn(sample.id(), sample.group(), sample.value(), sample.split())?;
                all_say &= sample.split() != Split::Unspecified;
            }
            tallies[shard] = self.tally(&splits, &table, shard);
            if !all_say {
                unsure.push(shard);
            }
        }
        drop(tables);
        if splits.any_learned() {
            // A row that says nothing goes by what another of its speaker said, maybe later.
            self.tally_again(&splits, unsure, &mut tallies).await?;
        }
        (self.splits, self.tallies) = (Arc::new(splits), tallies.into());
        Ok(())
    }

    async fn tally_again(
        &self,
        splits: &Splits,
        shards: impl IntoIterator<Item = usize>,
        tallies: &mut [Tally],
    ) -> Result<()> {
        let mut tables = self.tables(shards);
        while let Some((shard, table)) = tables.try_next().await? {
            tallies[shard] = self.tally(splits, &table, shard);
        }
        Ok(())
    }

    /// Whether speakers stand where they do because it was submitted, not by hash.
    #[must_use]
    pub fn has_submitted(&self) -> bool {
        self.splits.any_learned()
    }

    /// Leaves out of the test split whom an earlier data set, under the same rule, had in
    /// another: what was trained on that knows them, whatever was submitted since. Gives how many
    /// samples these are.
    ///
    /// # Errors
    /// If tables cannot be read.
    pub fn leave_out_known(&mut self, earlier: &Self) -> Result<u64> {
        let (before, runtime) = (self.len(Split::Test), self.runtime.clone());
        let known = runtime.block_on(self.known(earlier, &[Split::Test]))?;
        if !known.is_empty() {
            let (mut splits, mut tallies) = ((*self.splits).clone(), self.tallies.to_vec());
            splits.leave_out(known);
            runtime.block_on(self.tally_again(&splits, 0..tallies.len(), &mut tallies))?;
            (self.splits, self.tallies) = (Arc::new(splits), tallies.into());
        }
        Ok(before - self.len(Split::Test))
    }

    /// Whether what was trained on an earlier data set, under the same rule, knows speakers by
    /// whom a training on this one would be stopped or tested.
    ///
    /// # Errors
    /// If tables cannot be read.
    pub fn has_known(&self, earlier: &Self) -> Result<bool> {
        let among = [Split::Validation, Split::Test];
        Ok(!self.runtime.block_on(self.known(earlier, &among))?.is_empty())
    }

    /// The speakers of some splits whom an earlier data set had where more is learned of them.
    async fn known(&self, earlier: &Self, among: &[Split]) -> Result<HashSet<String>> {
        let same = self.manifest.dataset == earlier.manifest.dataset;
        let mut known = HashSet::new();
        let mut tables = earlier.tables(0..earlier.tallies.len());
        while let Some((shard, table)) = tables.try_next().await? {
            for sample in earlier.rows(&table, shard).map(|row| table.sample(row)) {
                let split = |of: &Self| of.splits.of(sample.group(), sample.value());
                let (before, now) = (split(earlier), split(self));
                // The same id in another data set may be another's.
                let counts = sample.age_years().is_some() && (same || !sample.speaker().is_empty());
                // Training, validation, test: in this order.
                if counts && among.contains(&now) && before < now {
                    known.insert(sample.group().to_owned());
                }
            }
        }
        Ok(known)
    }

    /// The tables of some shards, in their order, several read at a time.
    fn tables(
        &self,
        shards: impl IntoIterator<Item = usize>,
    ) -> impl futures::Stream<Item = Result<(usize, Arc<SampleTable>)>> {
        let read = move |shard| async move {
            let (key, sealed) = self.shard(shard);
            Ok((shard, Arc::new(fetch::table(&*self.store, &key, sealed, self.column()).await?)))
        };
        stream::iter(shards.into_iter().map(read)).buffered(READERS)
    }

    /// The rows of a shard that have features and were not replaced.
    fn rows(&self, table: &SampleTable, shard: usize) -> impl Iterator<Item = usize> {
        let replaced = &self.manifest.shards[shard].replaced;
        let stands = |row: &usize| !replaced.contains(&(*row as u32));
        (0..table.len()).filter(|&row| table.is_good(row)).filter(stands)
    }

    fn tally(&self, splits: &Splits, table: &Arc<SampleTable>, shard: usize) -> Tally {
        let mut tally = Tally::default();
        for sample in self.rows(table, shard).map(|row| table.sample(row)) {
            if sample.age_years().is_some() {
                tally[splits.standing(sample.group(), sample.value()) as usize] += 1;
            }
        }
        tally
    }

    /// The rows of a shard that count, of one split.
    pub(crate) fn counted(
        &self,
        table: &Arc<SampleTable>,
        shard: usize,
        split: Split,
    ) -> Vec<usize> {
        let counts = |row: &usize| {
            let sample = table.sample(*row);
            sample.age_years().is_some() && self.splits.of(sample.group(), sample.value()) == split
        };
        self.rows(table, shard).filter(counts).collect()
    }

    /// The column that decides who is held out, if one does.
    pub(crate) fn column(&self) -> Option<&str> {
        self.splits.rule.fold.as_ref()?.column()
    }

    /// The same, of which passes are cut off once `stop` is set.
    #[must_use]
    pub fn until(self, stop: &Arc<AtomicBool>) -> Self {
        Self { stop: Arc::clone(stop), ..self }
    }

    /// Returns when whoever makes something of it may go on.
    ///
    /// # Errors
    /// If it is to stop.
    pub fn may_go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }

    /// What is sealed.
    #[must_use]
    pub fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// A shard's key, and what was sealed of it.
    pub(crate) fn shard(&self, shard: usize) -> (String, &SealedShard) {
        let sealed = &self.manifest.shards[shard];
        (keys::shard(&self.manifest.dataset, &self.manifest.spec_id, &sealed.id), sealed)
    }

    /// Samples of a split.
    #[must_use]
    pub fn len(&self, split: Split) -> u64 {
        self.stock(split).iter().map(|stock| u64::from(stock.rows)).sum()
    }

    /// What each shard has of a split.
    fn stock(&self, split: Split) -> Vec<Stock> {
        let of = |tally: &Tally| {
            let standings = Standing::ALL.into_iter().zip(tally);
            let rows = standings.filter(|(standing, _)| self.splits.split(*standing) == split);
            rows.map(|(_, rows)| rows).sum()
        };
        let shards = self.manifest.shards.iter().zip(&*self.tallies);
        shards.map(|(sealed, tally)| Stock { bytes: sealed.bytes, rows: of(tally) }).collect()
    }

    pub(crate) fn plan(&self, split: Split, order: Order) -> Plan {
        Plan::new(order, &self.stock(split))
    }

    /// Where the samples of a split are, in the order of a pass. Reads nothing.
    pub fn order(&self, split: Split, order: Order) -> impl Iterator<Item = Place> + use<> {
        self.plan(split, order).all()
    }

    /// How well an order of a split is shuffled. Reads nothing.
    #[must_use]
    pub fn quality(&self, split: Split, order: Order) -> Quality {
        let mut firsts = vec![0];
        for stock in self.stock(split) {
            firsts.push(firsts[firsts.len() - 1] + u64::from(stock.rows));
        }
        let order = self.order(split, order);
        Quality::of(order.map(|place| firsts[place.shard] + place.row as u64))
    }

    /// The samples of a pass, `batch_size` at a time, made into whatever `assemble` makes of
    /// them and of the position of the first in the pass. `threads` threads (at least one)
    /// read, unpack and assemble; batches come in their order. `assemble` may get fewer
    /// samples than it is told, if one is damaged: what it makes is dropped then.
    ///
    /// Memory: [`Batches`] says how much.
    pub fn batches<T: Send + 'static>(
        &self,
        pass: Pass,
        batch_size: usize,
        threads: usize,
        assemble: impl Fn(u64, &mut Samples<'_>) -> T + Send + Sync + 'static,
    ) -> Batches<T> {
        Batches::start(self.clone(), pass, batch_size, threads, Box::new(assemble))
    }
}
