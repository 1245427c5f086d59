//! Convolutions: their shape and how they begin.
//!
//! Always holds: images are `[n, channels, frames, bands]`; a convolution pads with as many
//! zeros on either side as keep an image as large as it was, if its stride is 1.

use tch::nn::{self, Init};

/// The shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Channels that it takes.
    pub from: i64,
    /// Channels that it gives.
    pub to: i64,
    /// Frames and bands that it covers.
    pub size: [i64; 2],
    /// How far it moves.
    pub stride: [i64; 2],
    /// How far apart the frames are that it takes.
    pub dilation: i64,
    /// Groups of channels that are kept apart.
    pub groups: i64,
}

/// How weights begin.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// As in timm's `EfficientNet`: normal by fan-out, biases at zero.
    Efficient,
    /// As in timm's `ResNet`: normal by fan-out, groups not regarded, and torch's biases.
    Residual,
    /// As in timm's `NormFreeNet`: normal by fan-in, biases at zero.
    NormFree,
}

impl Filter {
    /// A square filter that moves by one.
    pub fn square(from: i64, to: i64, side: i64) -> Self {
        Self { from, to, size: [side; 2], stride: [1; 2], dilation: 1, groups: 1 }
    }

    /// The same, moving by `stride` both ways.
    pub fn stride(self, stride: i64) -> Self {
        Self { stride: [stride; 2], ..self }
    }

    /// The same in groups.
    pub fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// Inputs of one output.
    pub fn fan_in(self) -> i64 {
        self.from / self.groups * self.area()
    }

    /// Its layer.
    pub fn layer(self, path: nn::Path<'_>, start: Start, bias: bool) -> nn::Conv2D {
        let dilation = [self.dilation, 1];
        let padding = |i: usize| dilation[i] * (self.size[i] - 1) / 2;
        let config = nn::ConvConfigND {
            stride: self.stride,
            padding: [padding(0), padding(1)],
            dilation,
            groups: self.groups,
            bias,
            ws_init: start.weights(self),
            bs_init: start.biases(self),
            ..Default::default()
        };
        nn::conv(path, self.from, self.to, self.size, config)
    }

    fn area(self) -> i64 {
        self.size[0] * self.size[1]
    }
}

impl Start {
    /// Initial weights of a filter.
    pub fn weights(self, filter: Filter) -> Init {
        let fan_out = (filter.to * filter.area()) as f64;
        let variance = match self {
            Self::Efficient => 2.0 * filter.groups as f64 / fan_out,
            Self::Residual => 2.0 / fan_out,
            Self::NormFree => 1.0 / filter.fan_in() as f64,
        };
        Init::Randn { mean: 0.0, stdev: variance.sqrt() }
    }

    fn biases(self, filter: Filter) -> Init {
        match self {
            Self::Efficient | Self::NormFree => Init::Const(0.0),
            Self::Residual => {
                let bound = 1.0 / (filter.fan_in() as f64).sqrt();
                Init::Uniform { lo: -bound, up: bound }
            }
        }
    }
}
