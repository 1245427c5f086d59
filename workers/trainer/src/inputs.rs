//! Samples into the tensors of a batch.

use tch::Tensor;
use voxage_contract::training::Image;
use voxage_contract::{Features, Recording};
use voxage_dataset::Rng;

use crate::image::{SIDE, image};
use crate::scaler::Scaler;

/// A batch being filled.
#[derive(Debug)]
pub struct Batch<'a> {
    scaler: &'a Scaler,
    how: Image,
    images: Vec<f32>,
    tables: Vec<f32>,
    len: usize,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    #[must_use]
    pub fn new(scaler: &'a Scaler, how: Image) -> Self {
        Self { scaler, how, images: Vec::new(), tables: Vec::new(), len: 0 }
    }

    /// Recordings in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a recording; `crop` draws the place of a random crop, in training.
    pub fn push(&mut self, recording: &Recording, features: &Features, crop: Option<&mut Rng>) {
        let mut cells = image(&features.mel, self.how, crop, self.scaler.mel_min_db);
        self.scaler.scale_image(&mut cells);
        self.images.extend(cells);
        self.tables.extend(self.scaler.table(recording, features));
        self.len += 1;
    }

    /// Images `[n, 1, 128, 128]` and tables `[n, inputs]`; the batch is empty afterwards.
    pub fn take(&mut self) -> (Tensor, Tensor) {
        let (n, side) = (self.len as i64, SIDE as i64);
        let images = Tensor::from_slice(&self.images).view([n, 1, side, side]);
        let tables = Tensor::from_slice(&self.tables).view([n, -1]);
        self.images.clear();
        self.tables.clear();
        self.len = 0;
        (images, tables)
    }
}
