//! Attentive statistics pooling (Okabe et al. 2018, with the context of Desplanques et al.
//! 2020): a recording's features from its frames.
//!
//! Always holds: frames that are not real have no weight.

use tch::nn::{self, Module as _, ModuleT as _};
use tch::{Kind, Tensor};

use super::filter::{Filter, Start};
use super::frames::Frames;
use super::layers::norm;

/// Deviations are at least the root of this: the root has no slope at zero.
const LEAST_VARIANCE: f64 = 1e-5;

/// Frames to weighted means and deviations to features.
#[derive(Debug)]
pub struct Pooling {
    frame: nn::Conv2D,
    context: nn::Conv2D,
    norm: nn::BatchNorm,
    score: nn::Conv2D,
    statistics: nn::LayerNorm,
    features: nn::Linear,
}

impl Pooling {
    /// Of frames with `channels` numbers each, through `attention` units, to `width` features.
    pub fn new(path: &nn::Path<'_>, channels: i64, attention: i64, width: i64) -> Self {
        let layer = |name, from, to, bias| {
            Filter::square(from, to, 1).layer(path / name, Start::Residual, bias)
        };
        // Not a batch norm: of a batch of one it would learn a variance that is no number.
        let statistics =
            nn::layer_norm(path / "statistics", vec![2 * channels], Default::default());
        Self {
            frame: layer("frame", channels, attention, false),
            context: layer("context", 2 * channels, attention, true),
            norm: norm(path / "norm", attention),
            score: layer("score", attention, channels, true),
            statistics,
            features: nn::linear(path / "features", 2 * channels, width, Default::default()),
        }
    }

    /// Features `[n, width]` of frames `[n, channels, frames, 1]`.
    pub fn forward(&self, x: &Tensor, frames: &Frames, training: bool) -> Tensor {
        let x = x.to_kind(Kind::Float);
        let context = self.context.forward(&statistics(&x, &frames.even()));
        let hidden = (self.frame.forward(&x) + context).relu();
        let hidden = self.norm.forward_t(&hidden, training).tanh();
        let weights = frames.softmax(&self.score.forward(&hidden));
        let pooled = statistics(&x, &weights).flatten(1, -1);
        self.features.forward(&self.statistics.forward(&pooled)).relu().to_kind(Kind::Float)
    }
}

/// Means and deviations under weights, `[n, 2 × channels, 1, 1]`.
fn statistics(x: &Tensor, weights: &Tensor) -> Tensor {
    let mean = |x: &Tensor| (x * weights).sum_dim_intlist(2, true, Kind::Float);
    let means = mean(x);
    let variances = mean(&(x - &means).square());
    Tensor::cat(&[means, variances.clamp_min(LEAST_VARIANCE).sqrt()], 1)
}
