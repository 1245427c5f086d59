//! What the threads of a pass do: they load shards that came and assemble batches, whichever
//! can be done now, batches first.
//!
//! Always holds: shards are asked for only while those of the oldest block in use and the
//! next have room; an error or panic is told where its batch would have been.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::task::AbortHandle;

use crate::batches::{Block, Samples};
use crate::fetch::{self, Fetched, Loaded};
use crate::open::{Dataset, Pass};
use crate::order::Plan;
use crate::{Error, Result};

/// Shards of a block that are asked for at a time.
const FETCHES: usize = 16;

/// What makes a batch of the position of its first sample, and its samples.
pub(crate) type Assemble<T> = dyn Fn(u64, &mut Samples<'_>) -> T + Send + Sync;

/// What ends a pass before its end.
pub(crate) enum Stop {
    Failed(Error),
    Panicked(Box<dyn Any + Send>),
}

/// A pass at work.
pub(crate) struct Work<T> {
    dataset: Dataset,
    pass: Pass,
    plan: Plan,
    batch_size: u64,
    n_batches: u64,
    /// Batches that may be made before they are asked for.
    ahead: u64,
    assemble: Box<Assemble<T>>,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The block at the front of `blocks`.
    first_block: usize,
    blocks: VecDeque<Resident>,
    fetched: VecDeque<(usize, usize, Result<Fetched, Stop>)>,
    next_batch: u64,
    /// Batches that are being made, with the first block of each.
    making: BTreeMap<u64, usize>,
    made: BTreeMap<u64, Result<T, Stop>>,
    delivered: u64,
    ended: bool,
}

/// A block that was asked for.
enum Resident {
    Coming { fetching: AbortHandle, shards: Vec<Option<Loaded>>, missing: usize },
    Here(Arc<Block>),
    Failed(Option<Stop>),
}

/// Something to do.
enum Job {
    Load { block: usize, slot: usize, fetched: Result<Fetched, Stop> },
    Assemble { batch: u64, blocks: Vec<Arc<Block>>, skip: usize, count: usize },
}

impl<T> fmt::Debug for Work<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("pass", &self.pass).finish_non_exhaustive()
    }
}

impl<T> Work<T> {
    pub(crate) fn new(
        dataset: Dataset,
        pass: Pass,
        batch_size: usize,
        threads: usize,
        assemble: Box<Assemble<T>>,
    ) -> Self {
        let plan = dataset.plan(pass.split, pass.order);
        let left = plan.len().saturating_sub(pass.start);
        let first_block = if left > 0 { plan.block_of(pass.start) } else { 0 };
        let state = State {
            first_block,
            blocks: VecDeque::new(),
            fetched: VecDeque::new(),
            next_batch: 0,
            making: BTreeMap::new(),
            made: BTreeMap::new(),
            delivered: 0,
            ended: false,
        };
        Self {
            dataset,
            pass,
            plan,
            batch_size: batch_size as u64,
            n_batches: left.div_ceil(batch_size as u64),
            ahead: threads as u64 + 1,
            assemble,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_changed<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, once it is made; none after the last.
    pub(crate) fn wait(&self) -> Option<Result<T, Stop>> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            if let Err(stopped) = self.dataset.may_go_on() {
                state.ended = true;
                return Some(Err(Stop::Failed(stopped)));
            }
            let next = state.delivered;
            if let Some(made) = state.made.remove(&next) {
                state.delivered += 1;
                state.ended |= made.is_err();
                self.changed.notify_all();
                return Some(made);
            }
            if next == self.n_batches {
                return None;
            }
            state = self.until_changed(state);
        }
    }

    pub(crate) fn all_begun(&self) -> bool {
        self.state().next_batch == self.n_batches
    }

    /// Stops all work.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.fetched.clear();
        for block in state.blocks.drain(..) {
            if let Resident::Coming { fetching, .. } = block {
                fetching.abort();
            }
        }
        self.changed.notify_all();
    }

    /// The samples of a batch, by their positions in the pass.
    fn samples(&self, batch: u64) -> (u64, u64) {
        let first = self.pass.start + batch * self.batch_size;
        (first, (first + self.batch_size).min(self.plan.len()))
    }

    /// The first and last block of a batch.
    fn blocks(&self, batch: u64) -> (usize, usize) {
        let (first, end) = self.samples(batch);
        (self.plan.block_of(first), self.plan.block_of(end - 1))
    }

    /// A batch if it can be made, else a shard if one came.
    fn job(&self, state: &mut State<T>) -> Option<Job> {
        let batch = state.next_batch;
        if batch < self.n_batches && batch < state.delivered + self.ahead {
            let (first, last) = self.blocks(batch);
            let mut blocks = Vec::new();
            for block in state.blocks.iter_mut().take(last - first + 1) {
                match block {
                    Resident::Here(block) => blocks.push(Arc::clone(block)),
                    Resident::Coming { .. } => break,
                    Resident::Failed(stop) => {
                        // Whatever comes behind it is not made.
                        state.next_batch = self.n_batches;
                        state.made.extend(stop.take().map(|stop| (batch, Err(stop))));
                        self.changed.notify_all();
                        return None;
                    }
                }
            }
            if blocks.len() == last - first + 1 {
                state.next_batch += 1;
                state.making.insert(batch, first);
                let (sample, end) = self.samples(batch);
                let skip = (sample - self.plan.blocks[first].first) as usize;
                return Some(Job::Assemble { batch, blocks, skip, count: (end - sample) as usize });
            }
        }
        let (block, slot, fetched) = state.fetched.pop_front()?;
        Some(Job::Load { block, slot, fetched })
    }

    /// Takes in a shard of a block.
    fn loaded(
        &self,
        state: &mut State<T>,
        block: usize,
        slot: usize,
        loaded: Result<Loaded, Stop>,
    ) {
        let place = block.wrapping_sub(state.first_block);
        let Some(resident) = state.blocks.get_mut(place) else { return };
        let Resident::Coming { fetching, shards, missing } = resident else { return };
        match loaded {
            Ok(loaded) => {
                shards[slot] = Some(loaded);
                *missing -= 1;
                if *missing == 0 {
                    let numbers = self.plan.blocks[block].shards.iter().map(|(n, _)| *n as usize);
                    let shards = numbers.zip(shards.drain(..).flatten()).collect();
                    let places = self.plan.places(block);
                    *resident = Resident::Here(Arc::new(Block { places, shards }));
                }
            }
            Err(stop) => {
                fetching.abort();
                *resident = Resident::Failed(Some(stop));
            }
        }
    }
}

impl<T: Send + 'static> Work<T> {
    /// Works until there is nothing left to do.
    pub(crate) fn run(self: &Arc<Self>) {
        let mut state = self.state();
        while !state.ended && state.next_batch < self.n_batches {
            self.request(&mut state);
            match self.job(&mut state) {
                None if state.next_batch == self.n_batches => break,
                None => state = self.until_changed(state),
                Some(Job::Load { block, slot, fetched }) => {
                    drop(state);
                    let load = |fetched| caught(|| self.load(block, slot, fetched));
                    let loaded = fetched.and_then(load);
                    state = self.state();
                    self.loaded(&mut state, block, slot, loaded);
                    self.changed.notify_all();
                }
                Some(Job::Assemble { batch, blocks, skip, count }) => {
                    drop(state);
                    let made = self.make(batch, &blocks, skip, count);
                    drop(blocks);
                    state = self.state();
                    state.making.remove(&batch);
                    state.made.insert(batch, made);
                    self.changed.notify_all();
                }
            }
        }
    }

    /// Drops the blocks before the next batch, and asks for those that there is room for then:
    /// those of that batch, and one more than the oldest in use.
    fn request(self: &Arc<Self>, state: &mut State<T>) {
        let (first, last) = self.blocks(state.next_batch);
        while state.first_block < first && state.blocks.pop_front().is_some() {
            state.first_block += 1;
        }
        let oldest = state.making.values().copied().chain([first]).min().unwrap_or(first);
        let allowed = (oldest + 1).max(last).min(self.plan.blocks.len() - 1);
        for block in state.first_block + state.blocks.len()..=allowed {
            let shards = &self.plan.blocks[block].shards;
            let work = Arc::clone(self);
            let fetching = self.dataset.runtime.spawn(async move { work.fetch(block).await });
            state.blocks.push_back(Resident::Coming {
                fetching: fetching.abort_handle(),
                shards: shards.iter().map(|_| None).collect(),
                missing: shards.len(),
            });
        }
    }

    async fn fetch(&self, block: usize) {
        let mut fetches = Vec::new();
        for (slot, (shard, _)) in self.plan.blocks[block].shards.iter().enumerate() {
            fetches.push(self.fetch_one(block, slot, *shard as usize));
        }
        stream::iter(fetches).buffer_unordered(FETCHES).collect::<()>().await;
    }

    async fn fetch_one(&self, block: usize, slot: usize, shard: usize) {
        let fetch = fetch::fetch(&self.dataset, shard, self.pass.columns);
        let fetched = AssertUnwindSafe(fetch).catch_unwind().await;
        let fetched = fetched.map_or_else(|panic| Err(Stop::Panicked(panic)), failed);
        let mut state = self.state();
        if !state.ended {
            state.fetched.push_back((block, slot, fetched));
            self.changed.notify_all();
        }
    }

    fn load(&self, block: usize, slot: usize, fetched: Fetched) -> Result<Loaded> {
        let (shard, rows) = self.plan.blocks[block].shards[slot];
        let loaded = fetch::load(&self.dataset, shard as usize, self.pass.split, fetched)?;
        if loaded.len() == rows as usize {
            Ok(loaded)
        } else {
            let key = self.dataset.shard(shard as usize).0;
            Err(Error::damaged(&key, "its rows are not those that it had when it was opened"))
        }
    }

    fn make(
        &self,
        batch: u64,
        blocks: &[Arc<Block>],
        skip: usize,
        count: usize,
    ) -> Result<T, Stop> {
        let dataset = &self.dataset;
        let mut samples = Samples {
            dataset,
            blocks,
            next: skip,
            left: count,
            failed: None,
            scratch: BytesMut::new(),
        };
        caught(|| {
            let made = (self.assemble)(self.samples(batch).0, &mut samples);
            samples.failed.take().map_or(Ok(made), Err)
        })
    }
}

/// What work comes to, panics included.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T, Stop> {
    catch_unwind(AssertUnwindSafe(work)).map_or_else(|panic| Err(Stop::Panicked(panic)), failed)
}

fn failed<T>(result: Result<T>) -> Result<T, Stop> {
    result.map_err(Stop::Failed)
}
