//! Recordings into the tensors of a batch.

use tch::{Device, Tensor};
use voxage_contract::{Features, Gender, MelView, N_MELS, Recording};
use voxage_dataset::{Pool, Pooled, Rng, Sample};

use crate::device::bring;
use crate::image::{Framing, fill};
use crate::scaler::Scaler;

/// What a network looks at of one recording.
#[derive(Debug, Clone)]
pub struct Example<'a> {
    /// Of the speaker.
    pub gender: Gender,
    /// One value for each of the spec's columns.
    pub tabular: Vec<Option<f64>>,
    /// The embedding, if there is one.
    pub embedding: Option<&'a [f32]>,
    /// The spectrogram.
    pub mel: MelView<'a>,
}

impl<'a> From<&'a Sample> for Example<'a> {
    fn from(sample: &'a Sample) -> Self {
        let tabular = sample.tabular().collect();
        let embedding = sample.embedding();
        Self { gender: sample.gender(), tabular, embedding, mel: sample.mel() }
    }
}

impl<'a> Example<'a> {
    /// A recording whose features were just made.
    #[must_use]
    pub fn of(recording: &Recording, features: &'a Features) -> Self {
        let tabular = features.tabular.clone();
        let embedding = features.embedding.as_deref();
        let mel = features.mel.view();
        Self { gender: recording.gender(), tabular, embedding, mel }
    }
}

/// How a network's inputs are made.
#[derive(Debug)]
pub struct Inputs {
    /// From raw inputs to scaled ones.
    pub scaler: Scaler,
    /// How an image is made of a spectrogram.
    pub framing: Framing,
    /// Where the network is.
    pub device: Device,
    /// Images that were used before.
    pub pool: Pool,
}

/// The inputs of some recordings, on the host: of each, one window or more.
#[derive(Debug)]
pub struct Batch {
    /// As the network takes them, row-major `[n, frames, 128 bands]`.
    images: Pooled,
    /// Of each window, how many of its frames are the recording's.
    valid: Vec<i64>,
    tables: Vec<f32>,
    /// Of each recording, how many windows it has.
    windows: Vec<usize>,
    framing: Framing,
}

/// The inputs of some windows, where the network is.
#[derive(Debug)]
pub struct Tensors {
    /// `[n, 1, frames, 128]`.
    pub images: Tensor,
    /// How many of the frames are the recording's, `Int64`, `[n]`.
    pub valid: Tensor,
    /// `[n, inputs]`.
    pub tables: Tensor,
}

impl Inputs {
    /// An empty batch with room for some recordings.
    #[must_use]
    pub fn batch(&self, room: usize) -> Batch {
        Batch {
            images: self.pool.take(room * self.framing.cells()),
            valid: Vec::new(),
            tables: Vec::new(),
            windows: Vec::new(),
            framing: self.framing,
        }
    }

    /// Adds a recording to a batch: in training the window whose place `crop` draws, else all
    /// that a prediction is the mean of.
    pub fn push(&self, batch: &mut Batch, example: &Example<'_>, crop: Option<&mut Rng>) {
        let (n_frames, cells) = (example.mel.n_frames, self.framing.cells());
        let starts = match crop {
            Some(crop) => vec![self.framing.start(n_frames, Some(crop))],
            None => self.framing.starts(n_frames),
        };
        batch.windows.push(starts.len());
        for start in starts {
            let first = batch.valid.len() * cells;
            batch.images.grow(first + cells);
            fill(&mut batch.images[first..][..cells], example.mel, start, &self.scaler);
            batch.valid.push(self.framing.valid(n_frames, start));
            batch.tables.extend(self.scaler.table(example));
        }
    }
}

impl Batch {
    /// Whether it has no recordings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Of each recording, how many windows it has.
    #[must_use]
    pub fn windows(&self) -> &[usize] {
        &self.windows
    }

    /// Its inputs on a device.
    #[must_use]
    pub fn tensors(&self, device: Device) -> Tensors {
        let (n, frames) = (self.valid.len(), self.framing.frames as i64);
        let images = Tensor::from_slice(&self.images[..n * self.framing.cells()]);
        Tensors {
            images: bring(&images.view([-1, 1, frames, N_MELS as i64]), device),
            valid: bring(&Tensor::from_slice(&self.valid), device),
            tables: bring(&Tensor::from_slice(&self.tables).view([n as i64, -1]), device),
        }
    }
}

impl Tensors {
    /// Some of the windows, from one on.
    #[must_use]
    pub fn narrow(&self, first: i64, n: i64) -> Self {
        let part = |all: &Tensor| all.narrow(0, first, n);
        Self { images: part(&self.images), valid: part(&self.valid), tables: part(&self.tables) }
    }
}
