//! A compact residual network with squeeze and excitation, for spectrograms of a small data
//! set: about a million weights.
//!
//! Always holds: what is beyond the real frames changes nothing. Batch norms see it while
//! training, as zeros.

use tch::Tensor;
use tch::nn;
use voxage_contract::N_MELS;
use voxage_contract::training::TrainSettings;

use super::Backbone;
use super::filter::{Filter, Start};
use super::frames::Frames;
use super::layers::{ConvNorm, Squeeze, drop_path, drop_rate};
use super::pooling::Pooling;

#[derive(Debug)]
struct SeResNet {
    stem: ConvNorm,
    stages: Vec<Vec<Block>>,
    pooling: Pooling,
    width: i64,
}

#[derive(Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    squeeze: Squeeze,
    shortcut: Option<ConvNorm>,
    drop_rate: f64,
}

/// The network for images of `channels` channels and 128 bands.
pub fn new(path: &nn::Path<'_>, channels: i64, settings: &TrainSettings) -> Box<dyn Backbone> {
    let sizes = &settings.se_resnet;
    let mut from = sizes.channels[0];
    // Bands are many and cost much; frames are few and are what is pooled over.
    let stem = Filter { stride: [1, 2], ..Filter::square(channels, from, 3) };
    let stem = ConvNorm::new(path, ["conv", "norm"], stem, Start::Residual);
    let all = sizes.blocks.iter().sum();
    let mut done = 0;
    let mut stages = Vec::new();
    for (i, (&to, &count)) in sizes.channels.iter().zip(&sizes.blocks).enumerate() {
        let mut stage = Vec::new();
        for j in 0..count {
            let stride = if i > 0 && j == 0 { 2 } else { 1 };
            let rate = drop_rate(settings.drop_path, done, all);
            stage.push(Block::new(&(path / "stages" / i / j), [from, to], stride, rate));
            (from, done) = (to, done + 1);
        }
        stages.push(stage);
    }
    let bands = N_MELS as i64 >> stages.len();
    let pooling = Pooling::new(&(path / "pooling"), from * bands, sizes.attention, sizes.width);
    Box::new(SeResNet { stem, stages, pooling, width: sizes.width })
}

impl Backbone for SeResNet {
    fn forward(&self, images: &Tensor, valid: &Tensor, training: bool) -> Tensor {
        let mut frames = Frames::new(valid, images.size()[2]);
        let stem = self.stem.forward(&frames.only(images), training).relu();
        let mut x = frames.only(&stem);
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                frames = frames.halved();
            }
            x = stage.iter().fold(x, |x, block| block.forward(&x, &frames, training));
        }
        // Each band of each channel is a number of its own.
        let x = x.transpose(2, 3).flatten(1, 2).unsqueeze(3);
        self.pooling.forward(&x, &frames, training)
    }

    fn width(&self) -> i64 {
        self.width
    }
}

impl Block {
    fn new(path: &nn::Path<'_>, [from, to]: [i64; 2], stride: i64, drop_rate: f64) -> Self {
        let layer = |names, filter| ConvNorm::new(path, names, filter, Start::Residual);
        let shortcut = (from != to || stride > 1).then(|| {
            layer(["shortcut", "shortcut_norm"], Filter::square(from, to, 1).stride(stride))
        });
        let reduced = (to / 8).max(4);
        let squeeze = (path / "squeeze", ["reduce", "expand"]);
        Self {
            first: layer(["conv1", "norm1"], Filter::square(from, to, 3).stride(stride)),
            second: layer(["conv2", "norm2"], Filter::square(to, to, 3)).silent(),
            squeeze: Squeeze::new(
                &squeeze.0,
                squeeze.1,
                [to, reduced],
                Start::Residual,
                Tensor::relu,
            ),
            shortcut,
            drop_rate,
        }
    }

    /// `frames` are those of the output.
    fn forward(&self, x: &Tensor, frames: &Frames, training: bool) -> Tensor {
        let y = frames.only(&self.first.forward(x, training).relu());
        let y = self.second.forward(&y, training);
        let y = &y * self.squeeze.gates(&frames.mean(&y));
        let y = drop_path(y, self.drop_rate, training);
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.forward(x, training));
        frames.only(&(y + shortcut.as_ref().unwrap_or(x)).relu())
    }
}
