//! SE-ResNeXt-50 32×4d (Xie et al. 2017, Hu et al. 2018), as timm's `seresnext50_32x4d`.
//!
//! Always holds: tensors have timm's names and shapes.

use tch::Tensor;
use tch::nn;

use super::Backbone;
use super::filter::{Filter, Start};
use super::layers::{ConvNorm, Squeeze, drop_path, drop_rate, pooled};

/// Blocks and channels of the stages; blocks are half as wide inside.
const STAGES: [(usize, i64); 4] = [(3, 256), (4, 512), (6, 1024), (3, 2048)];
const GROUPS: i64 = 32;

#[derive(Debug)]
struct SeResNext {
    stem: ConvNorm,
    blocks: Vec<Block>,
    width: i64,
}

#[derive(Debug)]
struct Block {
    convolutions: [ConvNorm; 3],
    squeeze: Squeeze,
    shortcut: Option<ConvNorm>,
    drop_rate: f64,
}

/// The network for images of `channels` channels.
pub fn new(path: &nn::Path<'_>, channels: i64, drop_path: f64) -> Box<dyn Backbone> {
    let mut width = 64;
    let stem = Filter::square(channels, width, 7).stride(2);
    let stem = ConvNorm::new(path, ["conv1", "bn1"], stem, Start::Residual);
    let all = STAGES.iter().map(|stage| stage.0).sum();
    let mut blocks = Vec::new();
    for (i, &(count, to)) in STAGES.iter().enumerate() {
        for j in 0..count {
            let stride = if i > 0 && j == 0 { 2 } else { 1 };
            let rate = drop_rate(drop_path, blocks.len(), all);
            let path = path / format!("layer{}", i + 1) / j;
            blocks.push(Block::new(&path, [width, to], stride, rate));
            width = to;
        }
    }
    Box::new(SeResNext { stem, blocks, width })
}

impl Backbone for SeResNext {
    fn forward(&self, images: &Tensor, _valid: &Tensor, training: bool) -> Tensor {
        let stem = self.stem.forward(images, training).relu();
        let stem = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        pooled(&self.blocks.iter().fold(stem, |x, block| block.forward(&x, training)))
    }

    fn width(&self) -> i64 {
        self.width
    }
}

impl Block {
    fn new(path: &nn::Path<'_>, [from, to]: [i64; 2], stride: i64, drop_rate: f64) -> Self {
        let inner = to / 2;
        let layer = |names, filter| ConvNorm::new(path, names, filter, Start::Residual);
        let grouped = Filter::square(inner, inner, 3).stride(stride).groups(GROUPS);
        let convolutions = [
            layer(["conv1", "bn1"], Filter::square(from, inner, 1)),
            layer(["conv2", "bn2"], grouped),
            layer(["conv3", "bn3"], Filter::square(inner, to, 1)).silent(),
        ];
        let (se, names) = (path / "se", ["fc1", "fc2"]);
        let squeeze = Squeeze::new(&se, names, [to, to / 16], Start::Residual, Tensor::relu);
        let shortcut = (from != to).then(|| {
            let filter = Filter::square(from, to, 1).stride(stride);
            ConvNorm::new(&(path / "downsample"), ["0", "1"], filter, Start::Residual)
        });
        Self { convolutions, squeeze, shortcut, drop_rate }
    }

    fn forward(&self, x: &Tensor, training: bool) -> Tensor {
        let [reduce, grouped, expand] = &self.convolutions;
        let y = reduce.forward(x, training).relu();
        let y = grouped.forward(&y, training).relu();
        let y = self.squeeze.forward(&expand.forward(&y, training));
        let y = drop_path(y, self.drop_rate, training);
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.forward(x, training));
        (y + shortcut.as_ref().unwrap_or(x)).relu()
    }
}
