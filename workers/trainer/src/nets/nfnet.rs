//! NFNet-F0 (Brock et al. 2021), as timm's `dm_nfnet_f0`: no batch norms, but weights that
//! are standardised each time they are used.
//!
//! Always holds: tensors have timm's names and shapes.

use tch::Tensor;
use tch::nn::{self, Init};

use super::Backbone;
use super::filter::{Filter, Start};
use super::layers::{Squeeze, drop_path, drop_rate, pooled};

/// Blocks and channels of the stages; blocks are half as wide inside.
const STAGES: [(usize, i64); 4] = [(1, 256), (2, 512), (6, 1536), (3, 1536)];
/// Channels and strides of the stem.
const STEM: [(i64, i64); 4] = [(16, 2), (32, 1), (64, 1), (128, 2)];
const WIDTH: i64 = 3072;
/// Channels of a group.
const GROUP: i64 = 128;
/// How much a block's branch adds.
const ALPHA: f64 = 0.2;
/// Makes up for what gates take away.
const ATTENTION_GAIN: f64 = 2.0;
/// Makes up for what the activation takes away from a normal variable's deviation.
const GELU_GAIN: f64 = 1.701_504_349_708_557_1;

#[derive(Debug)]
struct NfNet {
    stem: Vec<ScaledConv>,
    blocks: Vec<Block>,
    head: ScaledConv,
}

/// A convolution with weights brought to a mean of 0 and a variance of `1 / fan-in`, times a gain.
#[derive(Debug)]
struct ScaledConv {
    filter: Filter,
    weight: Tensor,
    bias: Tensor,
    gain: Tensor,
}

/// A bottleneck that is activated before its layers.
#[derive(Debug)]
struct Block {
    shortcut: Option<ScaledConv>,
    convolutions: [ScaledConv; 4],
    squeeze: Squeeze,
    gain: Tensor,
    stride: i64,
    /// One over the deviation that its input has in theory.
    beta: f64,
    drop_rate: f64,
}

/// The network for images of `channels` channels.
pub fn new(path: &nn::Path<'_>, channels: i64, drop_path: f64) -> Box<dyn Backbone> {
    let mut from = channels;
    let mut stem = Vec::new();
    for (i, (to, stride)) in STEM.into_iter().enumerate() {
        let path = path / "stem" / format!("conv{}", i + 1);
        stem.push(ScaledConv::new(&path, Filter::square(from, to, 3).stride(stride)));
        from = to;
    }
    let all = STAGES.iter().map(|stage| stage.0).sum();
    let (mut blocks, mut variance) = (Vec::new(), 1.0);
    for (i, &(count, to)) in STAGES.iter().enumerate() {
        for j in 0..count {
            let stride = if i > 0 && j == 0 { 2 } else { 1 };
            let rate = drop_rate(drop_path, blocks.len(), all);
            let path = path / "stages" / i / j;
            blocks.push(Block::new(&path, [from, to], stride, 1.0 / f64::sqrt(variance), rate));
            // A stage's first block begins anew with what its shortcut gives.
            variance = if j == 0 { 1.0 } else { variance } + ALPHA * ALPHA;
            from = to;
        }
    }
    let head = ScaledConv::new(&(path / "final_conv"), Filter::square(from, WIDTH, 1));
    Box::new(NfNet { stem, blocks, head })
}

fn activated(x: &Tensor) -> Tensor {
    x.gelu("none") * GELU_GAIN
}

impl Backbone for NfNet {
    fn forward(&self, images: &Tensor, _valid: &Tensor, training: bool) -> Tensor {
        let mut x = self.stem[0].forward(images);
        for conv in &self.stem[1..] {
            x = conv.forward(&activated(&x));
        }
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x, training));
        pooled(&activated(&self.head.forward(&x)))
    }

    fn width(&self) -> i64 {
        WIDTH
    }
}

impl ScaledConv {
    fn new(path: &nn::Path<'_>, filter: Filter) -> Self {
        let Filter { from, to, size: [height, width], groups, .. } = filter;
        let shape = [to, from / groups, height, width];
        let weight = path.var("weight", &shape, Start::NormFree.weights(filter));
        let gain = path.var("gain", &[to, 1, 1, 1], Init::Const(1.0));
        Self { filter, weight, bias: path.zeros("bias", &[to]), gain }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let Filter { to, size, stride, groups, .. } = self.filter;
        let scale = self.gain.view(-1) / (self.filter.fan_in() as f64).sqrt();
        // A batch norm over each filter standardises it.
        let weight = self.weight.reshape([1, to, -1]).batch_norm(
            Some(&scale),
            None,
            None,
            None,
            true,
            0.0,
            1e-5,
            true,
        );
        // As many zeros as make every stride count, the odd one behind.
        let [bands, frames] = [1, 0].map(|i| {
            let n = x.size()[i + 2];
            let more = ((n - 1) / stride[i] * stride[i] + size[i] - n).max(0);
            [more / 2, more - more / 2]
        });
        let padded = x.constant_pad_nd([bands[0], bands[1], frames[0], frames[1]]);
        let weight = weight.view_as(&self.weight);
        padded.conv2d(&weight, Some(&self.bias), stride, [0, 0], [1, 1], groups)
    }
}

impl Block {
    fn new(
        path: &nn::Path<'_>,
        [from, to]: [i64; 2],
        stride: i64,
        beta: f64,
        drop_rate: f64,
    ) -> Self {
        let inner = to / 2;
        let layer = |path: nn::Path<'_>, filter| ScaledConv::new(&path, filter);
        let grouped = Filter::square(inner, inner, 3).groups(inner / GROUP);
        let shortcut = (from != to || stride > 1)
            .then(|| layer(path / "downsample" / "conv", Filter::square(from, to, 1)));
        let convolutions = [
            layer(path / "conv1", Filter::square(from, inner, 1)),
            layer(path / "conv2", grouped.stride(stride)),
            layer(path / "conv2b", grouped),
            layer(path / "conv3", Filter::square(inner, to, 1)),
        ];
        let (attention, names) = (path / "attn_last", ["fc1", "fc2"]);
        let squeeze = Squeeze::new(&attention, names, [to, to / 2], Start::NormFree, Tensor::relu);
        let gain = path.zeros("skipinit_gain", &[]);
        Self { shortcut, convolutions, squeeze, gain, stride, beta, drop_rate }
    }

    fn forward(&self, x: &Tensor, training: bool) -> Tensor {
        let input = activated(x) * self.beta;
        let shortcut = self.shortcut.as_ref().map(|conv| match self.stride {
            1 => conv.forward(&input),
            side => conv.forward(&input.avg_pool2d(side, side, 0, true, false, None)),
        });
        let mut y = self.convolutions[0].forward(&input);
        for conv in &self.convolutions[1..] {
            y = conv.forward(&activated(&y));
        }
        let y = drop_path(self.squeeze.forward(&y) * ATTENTION_GAIN, self.drop_rate, training);
        y * &self.gain * ALPHA + shortcut.as_ref().unwrap_or(x)
    }
}
