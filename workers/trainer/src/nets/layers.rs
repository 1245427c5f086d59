//! What the networks are built of, beside plain convolutions.

use tch::nn::{self, Init, Module as _, ModuleT as _};
use tch::{Kind, Tensor};

use super::filter::{Filter, Start};

/// A convolution with its batch norm.
#[derive(Debug)]
pub struct ConvNorm {
    conv: nn::Conv2D,
    norm: nn::BatchNorm,
}

/// Squeeze and excitation (Hu et al. 2018): how much of each channel is let through.
#[derive(Debug)]
pub struct Squeeze {
    reduce: nn::Conv2D,
    expand: nn::Conv2D,
    activation: fn(&Tensor) -> Tensor,
}

/// A batch norm at the start of a training.
pub fn norm(path: nn::Path<'_>, channels: i64) -> nn::BatchNorm {
    let config = nn::BatchNormConfig { ws_init: Init::Const(1.0), ..Default::default() };
    nn::batch_norm2d(path, channels, config)
}

impl ConvNorm {
    /// The two under their names below `path`.
    pub fn new(path: &nn::Path<'_>, names: [&str; 2], filter: Filter, start: Start) -> Self {
        let conv = filter.layer(path / names[0], start, false);
        Self { conv, norm: norm(path / names[1], filter.to) }
    }

    /// Lets the norm begin at zero: a residual block then gives what it took.
    pub fn silent(self) -> Self {
        if let Some(weight) = &self.norm.ws {
            let _ = tch::no_grad(|| weight.shallow_clone().zero_());
        }
        self
    }

    /// One after the other.
    pub fn forward(&self, x: &Tensor, training: bool) -> Tensor {
        self.norm.forward_t(&self.conv.forward(x), training)
    }
}

impl Squeeze {
    /// The two layers under their names below `path`, `channels → reduced → channels`.
    pub fn new(
        path: &nn::Path<'_>,
        names: [&str; 2],
        [channels, reduced]: [i64; 2],
        start: Start,
        activation: fn(&Tensor) -> Tensor,
    ) -> Self {
        let layer = |name, from, to| Filter::square(from, to, 1).layer(path / name, start, true);
        let reduce = layer(names[0], channels, reduced);
        Self { reduce, expand: layer(names[1], reduced, channels), activation }
    }

    /// From the channels' means `[n, channels, 1, 1]` to their gates, 0 to 1.
    pub fn gates(&self, means: &Tensor) -> Tensor {
        self.expand.forward(&(self.activation)(&self.reduce.forward(means))).sigmoid()
    }

    /// An image with its gates applied.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x * self.gates(&x.mean_dim(&[2_i64, 3][..], true, x.kind()))
    }
}

/// The share of samples for which block `i` of `n` is left out: from none to that of the last.
pub fn drop_rate(last: f64, i: usize, n: usize) -> f64 {
    last * i as f64 / (n.max(2) - 1) as f64
}

/// Stochastic depth (Huang et al. 2016): leaves a block's branch out for a share of the
/// samples in training.
pub fn drop_path(branch: Tensor, rate: f64, training: bool) -> Tensor {
    if !training || rate == 0.0 {
        return branch;
    }
    let options = (branch.kind(), branch.device());
    let kept = Tensor::empty([branch.size()[0], 1, 1, 1], options).bernoulli_float_(1.0 - rate);
    branch * kept / (1.0 - rate)
}

/// The means of all channels, `[n, channels]`.
pub fn pooled(x: &Tensor) -> Tensor {
    x.mean_dim(&[2_i64, 3][..], false, Kind::Float)
}
