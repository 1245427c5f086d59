//! How a training's batches are changed, that a network may not learn its recordings by heart.

use serde::{Deserialize, Serialize};

use super::nets::Demand;

/// Changes to a batch; each is off by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Frames that a mask over time levels, at most; 0 for none.
    pub time_mask: i64,
    /// Bands that a mask over frequency levels, at most; 0 for none.
    pub band_mask: i64,
    /// Masks of each kind on an image.
    pub masks: u32,
    /// Decibels that an image gets louder or softer, at most; 0 for none.
    pub gain_db: f64,
    /// Deviation in decibels of noise on each cell; 0 for none.
    pub noise_db: f64,
    /// Frames that an image is moved by, at most; 0 for none.
    pub shift: i64,
    /// Parameter of the beta distribution by which two recordings are mixed; 0 for not at all.
    pub mixup: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            time_mask: 0,
            band_mask: 0,
            masks: 2,
            gain_db: 0.0,
            noise_db: 0.0,
            shift: 0,
            mixup: 0.0,
        }
    }
}

impl Augment {
    /// Its demands, for images of so many frames.
    pub(super) fn demands(&self, frames: usize) -> [Demand; 7] {
        let frames = frames as i64;
        [
            ("augment.time_mask", (0..=frames).contains(&self.time_mask), "0 to train.frames"),
            ("augment.band_mask", (0..=128).contains(&self.band_mask), "0 to 128"),
            ("augment.masks", self.masks <= 16, "at most 16"),
            ("augment.gain_db", (0.0..=60.0).contains(&self.gain_db), "0 to 60"),
            ("augment.noise_db", (0.0..=60.0).contains(&self.noise_db), "0 to 60"),
            ("augment.shift", (0..frames).contains(&self.shift), "0 to below train.frames"),
            ("augment.mixup", (0.0..=100.0).contains(&self.mixup), "0 to 100"),
        ]
    }
}
