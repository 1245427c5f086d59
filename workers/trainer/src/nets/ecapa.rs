//! A network after ECAPA-TDNN (Desplanques et al. 2020): convolutions over time, with the
//! bands as channels, from narrow to wide contexts.
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

const BANDS: i64 = N_MELS as i64;

#[derive(Debug)]
struct Ecapa {
    stem: ConvNorm,
    blocks: Vec<Block>,
    join: ConvNorm,
    pooling: Pooling,
    width: i64,
}

/// A residual block whose groups of channels hear ever wider contexts, each also what the
/// one before it made (Gao et al. 2019).
#[derive(Debug)]
struct Block {
    enter: ConvNorm,
    groups: Vec<ConvNorm>,
    leave: ConvNorm,
    squeeze: Squeeze,
    drop_rate: f64,
}

/// A filter over time.
fn over_time(from: i64, to: i64, frames: i64) -> Filter {
    Filter { size: [frames, 1], ..Filter::square(from, to, 1) }
}

/// The network for images of `channels` channels and 128 bands.
pub fn new(path: &nn::Path<'_>, channels: i64, settings: &TrainSettings) -> Box<dyn Backbone> {
    let sizes = &settings.ecapa;
    let layer = |names, filter| ConvNorm::new(path, names, filter, Start::Residual);
    let stem = layer(["conv", "norm"], over_time(channels * BANDS, sizes.channels, 5));
    let n = sizes.dilations.len();
    let block = |(i, &dilation): (usize, &i64)| {
        let filter = Filter { dilation, ..over_time(sizes.channels, sizes.channels, 3) };
        let rate = drop_rate(settings.drop_path, i, n);
        Block::new(&(path / "blocks" / i), filter, sizes.groups, rate)
    };
    let blocks = sizes.dilations.iter().enumerate().map(block).collect();
    let joined = n as i64 * sizes.channels;
    let join = layer(["join", "join_norm"], over_time(joined, joined, 1));
    let pooling = Pooling::new(&(path / "pooling"), joined, sizes.attention, sizes.width);
    Box::new(Ecapa { stem, blocks, join, pooling, width: sizes.width })
}

impl Backbone for Ecapa {
    fn forward(&self, images: &Tensor, valid: &Tensor, training: bool) -> Tensor {
        let frames = Frames::new(valid, images.size()[2]);
        let bands = images.transpose(2, 3).flatten(1, 2).unsqueeze(3);
        let mut x = frames.only(&self.stem.forward(&frames.only(&bands), training).relu());
        let mut outputs = Vec::new();
        for block in &self.blocks {
            x = block.forward(&x, &frames, training);
            outputs.push(x.shallow_clone());
        }
        let joined = self.join.forward(&Tensor::cat(&outputs, 1), training).relu();
        self.pooling.forward(&joined, &frames, training)
    }

    fn width(&self) -> i64 {
        self.width
    }
}

impl Block {
    fn new(path: &nn::Path<'_>, filter: Filter, groups: i64, drop_rate: f64) -> Self {
        let (channels, part) = (filter.to, filter.to / groups);
        let layer = |names, filter| ConvNorm::new(path, names, filter, Start::Residual);
        let all = over_time(channels, channels, 1);
        let group = |i| {
            let names = [&*format!("group{i}"), &*format!("group{i}_norm")];
            let filter = Filter { from: part, to: part, ..filter };
            ConvNorm::new(path, names, filter, Start::Residual)
        };
        let (squeeze, names) = (path / "squeeze", ["reduce", "expand"]);
        Self {
            enter: layer(["enter", "enter_norm"], all),
            // The first group is left as it is.
            groups: (1..groups).map(group).collect(),
            leave: layer(["leave", "leave_norm"], all),
            squeeze: Squeeze::new(
                &squeeze,
                names,
                [channels, channels / 4],
                Start::Residual,
                Tensor::relu,
            ),
            drop_rate,
        }
    }

    fn forward(&self, x: &Tensor, frames: &Frames, training: bool) -> Tensor {
        let entered = frames.only(&self.enter.forward(x, training).relu());
        let mut parts = entered.chunk(self.groups.len() as i64 + 1, 1);
        for (i, group) in self.groups.iter().enumerate() {
            let before = if i == 0 { parts[1].shallow_clone() } else { &parts[i + 1] + &parts[i] };
            parts[i + 1] = frames.only(&group.forward(&before, training).relu());
        }
        let y = self.leave.forward(&Tensor::cat(&parts, 1), training).relu();
        let y = &y * self.squeeze.gates(&frames.mean(&y));
        frames.only(&(drop_path(y, self.drop_rate, training) + x))
    }
}
