//! Samples in order, read ahead of their consumer.
//!
//! Always holds: the order is a function of manifest, split and [`Order`]. Memory is one
//! block of rows and a bounded channel.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use voxage_contract::{Features, Recording, Split};
use voxage_shards::Columns;

use crate::open::Dataset;
use crate::rng::Rng;
use crate::{Error, Result};

/// Rows that are shuffled among each other: about 100 MB of whole spectrograms.
const BLOCK_ROWS: usize = 1024;

/// Samples that are ready before they are asked for.
const READ_AHEAD: usize = 64;

/// The order of a pass over the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As it is stored.
    Stored,
    /// Shards in random order, and rows shuffled within blocks of them.
    Shuffled {
        /// Names the sequence of passes.
        seed: u64,
        /// Names the pass.
        epoch: u64,
    },
}

/// One recording with its features.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// As submitted.
    pub recording: Recording,
    /// Its features; the spectrogram has no bytes if only the table was asked for.
    pub features: Features,
}

/// Samples as they are read; ends after the last, or after an error.
#[derive(Debug)]
pub struct Samples(Receiver<Result<Sample>>);

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.recv().ok()
    }
}

impl Samples {
    pub(crate) fn start(dataset: Dataset, split: Split, order: Order, columns: Columns) -> Self {
        let (sender, receiver) = sync_channel(READ_AHEAD);
        let reader = Reader { dataset, split, columns, sender };
        thread::spawn(move || {
            if let Err(Stop::Failed(error)) = reader.read(order) {
                // A consumer that is gone does not mind.
                let _ = reader.sender.send(Err(error));
            }
        });
        Self(receiver)
    }
}

enum Stop {
    Failed(Error),
    ConsumerGone,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Reader {
    dataset: Dataset,
    split: Split,
    columns: Columns,
    sender: SyncSender<Result<Sample>>,
}

impl Reader {
    fn read(&self, order: Order) -> std::result::Result<(), Stop> {
        let mut shards: Vec<_> = self.dataset.manifest().shards.iter().collect();
        let mut rng = match order {
            Order::Stored => None,
            Order::Shuffled { seed, epoch } => Some(Rng::new(&[seed, epoch])),
        };
        if let Some(rng) = &mut rng {
            rng.shuffle(&mut shards);
        }
        let mut block = Vec::new();
        for shard in shards {
            for row in self.dataset.rows(shard, self.columns)? {
                let row = row?;
                if self.dataset.split_of(&row) != self.split {
                    continue;
                }
                let Ok(features) = row.outcome else { continue };
                block.push(Sample { recording: row.recording, features });
                if block.len() == BLOCK_ROWS {
                    self.send(&mut block, rng.as_mut())?;
                }
            }
        }
        self.send(&mut block, rng.as_mut())
    }

    fn send(
        &self,
        block: &mut Vec<Sample>,
        rng: Option<&mut Rng>,
    ) -> std::result::Result<(), Stop> {
        if let Some(rng) = rng {
            rng.shuffle(block);
        }
        let mut samples = block.drain(..);
        samples.try_for_each(|sample| self.sender.send(Ok(sample)).map_err(|_| Stop::ConsumerGone))
    }
}
