//! Which frames of images are real, where recordings are shorter than the image.
//!
//! Always holds: at least one frame of an image counts.

use tch::{Kind, Tensor};

/// The real frames of some images.
#[derive(Debug)]
pub struct Frames {
    /// How many, `[n]`.
    valid: Tensor,
    /// 1 for a real frame, else 0: `[n, 1, frames, 1]`.
    real: Tensor,
}

impl Frames {
    /// The first `valid` of each image's frames.
    pub fn new(valid: &Tensor, frames: i64) -> Self {
        let valid = valid.clamp(1, frames);
        let positions = Tensor::arange(frames, (Kind::Int64, valid.device()));
        let real = positions.unsqueeze(0).less_tensor(&valid.unsqueeze(1));
        let real = real.to_kind(Kind::Float).unsqueeze(1).unsqueeze(3);
        Self { valid, real }
    }

    /// Those that a convolution of stride 2 makes of them.
    pub fn halved(&self) -> Self {
        let half = (&self.valid + 1).divide_scalar_mode(2, "floor");
        Self::new(&half, (self.real.size()[2] + 1) / 2)
    }

    /// An image that is zero where it is not real.
    pub fn only(&self, x: &Tensor) -> Tensor {
        x * self.real.to_kind(x.kind())
    }

    /// The same weight for each real frame, together one: `[n, 1, frames, 1]`.
    pub fn even(&self) -> Tensor {
        &self.real / self.valid.view([-1, 1, 1, 1])
    }

    /// The means of the real frames, `[n, channels, 1, 1]`.
    pub fn mean(&self, x: &Tensor) -> Tensor {
        (x * self.even()).sum_dim_intlist(&[2_i64, 3][..], true, Kind::Float) / x.size()[3]
    }

    /// Weights of the real frames, together one, of scores `[n, channels, frames, 1]`.
    pub fn softmax(&self, scores: &Tensor) -> Tensor {
        scores.masked_fill(&self.real.eq(0.0), f64::NEG_INFINITY).softmax(2, Kind::Float)
    }
}
