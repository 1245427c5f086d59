//! Batches of a pass, made by several threads and handed out in order.
//!
//! Always holds: batches are the same for any number of threads and any state of the cache;
//! whoever leaves early leaves no thread and no request behind. What the threads do is in
//! `work`.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::BytesMut;
use voxage_shards::Sample;

use crate::fetch::Loaded;
use crate::open::{Dataset, Pass};
use crate::order::Place;
use crate::work::{Assemble, Stop, Work};
use crate::{Error, Result};

/// Batches as they are asked for; ends after the last, or after an error.
///
/// In memory are, beside the batch in the consumer's hands,
/// `blocks + threads * (spectrogram + batch) + batch` bytes: `blocks` is the size of the
/// shards of two blocks, each at most the greater of [`crate::BLOCK_BYTES`] and the largest
/// shard, or of as many blocks as one batch needs; `spectrogram` is the largest unpacked
/// one. A shard from before each spectrogram had a page of its own is held unpacked. A data
/// set of at most [`crate::BLOCK_BYTES`] stays in memory, once, from pass to pass.
#[derive(Debug)]
pub struct Batches<T> {
    work: Arc<Work<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Batches<T> {
    pub(crate) fn start(
        dataset: Dataset,
        pass: Pass,
        batch_size: usize,
        threads: usize,
        assemble: Box<Assemble<T>>,
    ) -> Self {
        let threads = threads.max(1);
        let work = Arc::new(Work::new(dataset, pass, batch_size.max(1), threads, assemble));
        let start = |_| {
            let work = Arc::clone(&work);
            thread::spawn(move || work.run())
        };
        Self { threads: (0..threads).map(start).collect(), work }
    }
}

impl<T> Batches<T> {
    /// Whether each batch is made or being made: the threads have nothing more to begin.
    #[must_use]
    pub fn all_begun(&self) -> bool {
        self.work.all_begun()
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.work.wait()? {
            Ok(batch) => Some(Ok(batch)),
            Err(Stop::Failed(error)) => Some(Err(error)),
            Err(Stop::Panicked(panic)) => resume_unwind(panic),
        }
    }
}

impl<T> Drop for Batches<T> {
    fn drop(&mut self) {
        self.work.end();
        for thread in self.threads.drain(..) {
            // What `assemble` panics with is caught, and goes to the consumer.
            let _ = thread.join();
        }
    }
}

/// A block in memory: its samples in their order, and its shards.
#[derive(Debug)]
pub(crate) struct Block {
    pub places: Vec<Place>,
    pub shards: Vec<(usize, Loaded)>,
}

/// The samples of a batch, each unpacked when it is asked for.
#[derive(Debug)]
pub struct Samples<'a> {
    pub(crate) dataset: &'a Dataset,
    /// The blocks that the batch needs.
    pub(crate) blocks: &'a [Arc<Block>],
    /// The place of the next sample in the first of them.
    pub(crate) next: usize,
    pub(crate) left: usize,
    pub(crate) failed: Option<Error>,
    /// Memory for one spectrogram after another.
    pub(crate) scratch: BytesMut,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        while self.next >= self.blocks.first()?.places.len() {
            self.next -= self.blocks[0].places.len();
            self.blocks = &self.blocks[1..];
        }
        self.left = self.left.checked_sub(1)?;
        let block = &self.blocks[0];
        let place = block.places[self.next];
        let (shard, loaded) = &block.shards[place.shard];
        self.next += 1;
        if let Some(next) = block.places.get(self.next) {
            block.shards[next.shard].1.prefetch(next.row);
        }
        let sample = loaded.sample(place.row, &mut self.scratch).map_err(|error| {
            self.left = 0;
            self.failed = Some(Error::damaged(&self.dataset.shard(*shard).0, error));
        });
        sample.ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Samples<'_> {}
