//! Recordings into the tensors of a batch.

use tch::{Device, Tensor};
use voxage_contract::training::Image;
use voxage_contract::{Features, Gender, MelView, Recording};
use voxage_dataset::{Pool, Pooled, Rng, Sample};

use crate::image::{SIDE, fill};
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
    pub image: Image,
    /// Where the network is.
    pub device: Device,
    /// Images that were used before.
    pub pool: Pool,
}

/// The inputs of some recordings, on the host.
#[derive(Debug)]
pub struct Batch {
    /// As the network takes them, row-major `[n, 128 frames, 128 bands]`.
    images: Pooled,
    tables: Vec<f32>,
    len: usize,
}

/// The inputs of some recordings, where the network is.
#[derive(Debug)]
pub struct Tensors {
    /// `[n, 1, 128, 128]`.
    pub images: Tensor,
    /// `[n, inputs]`.
    pub tables: Tensor,
}

impl Inputs {
    /// An empty batch with room for some recordings.
    #[must_use]
    pub fn batch(&self, room: usize) -> Batch {
        Batch { images: self.pool.take(room * SIDE * SIDE), tables: Vec::new(), len: 0 }
    }

    /// Adds a recording to a batch; `crop` draws the place of a random crop, in training.
    ///
    /// # Panics
    /// If the batch has no room for it.
    pub fn push(&self, batch: &mut Batch, example: &Example<'_>, crop: Option<&mut Rng>) {
        let image = &mut batch.images[batch.len * SIDE * SIDE..][..SIDE * SIDE];
        fill(image, example.mel, self.image, crop, &self.scaler);
        batch.tables.extend(self.scaler.table(example));
        batch.len += 1;
    }
}

impl Batch {
    /// Whether it has no recordings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its inputs on a device.
    #[must_use]
    pub fn tensors(&self, device: Device) -> Tensors {
        let (n, side) = (self.len as i64, SIDE as i64);
        let images = Tensor::from_slice(&self.images[..self.len * SIDE * SIDE]);
        let tables = Tensor::from_slice(&self.tables).view([n, -1]);
        let images = images.view([n, 1, side, side]);
        Tensors { images: images.to_device(device), tables: tables.to_device(device) }
    }
}
