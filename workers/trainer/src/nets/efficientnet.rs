//! `EfficientNet` (Tan and Le 2019), as timm's `efficientnet_b0` to `efficientnet_b3`.
//!
//! Always holds: tensors have timm's names and shapes.

use tch::{Kind, Tensor, nn};

use super::Backbone;
use super::filter::{Filter, Start};
use super::layers::{ConvNorm, Squeeze, drop_path, drop_rate, pooled};
use crate::device::mixed;

/// Of B0's stages: blocks, and stride of the first; side of the filters, expansion, channels.
const STAGES: [(u32, i64, i64, i64, i64); 7] = [
    (1, 1, 3, 1, 16),
    (2, 2, 3, 6, 24),
    (2, 2, 5, 6, 40),
    (3, 2, 3, 6, 80),
    (3, 1, 5, 6, 112),
    (4, 2, 5, 6, 192),
    (1, 1, 3, 6, 320),
];

const START: Start = Start::Efficient;

#[derive(Debug)]
struct EfficientNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    head: ConvNorm,
    width: i64,
}

/// An inverted bottleneck: wider inside than outside.
#[derive(Debug)]
struct Block {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    squeeze: Squeeze,
    project: ConvNorm,
    skips: bool,
    drop_rate: f64,
}

/// B0 for images of `channels` channels, `wider` and `deeper` by these factors.
pub fn new(
    path: &nn::Path<'_>,
    channels: i64,
    (wider, deeper): (f64, f64),
    drop_path: f64,
) -> Box<dyn Backbone> {
    let depth = |blocks: u32| (f64::from(blocks) * deeper).ceil() as usize;
    let all = STAGES.iter().map(|stage| depth(stage.0)).sum();
    let mut from = widened(32, wider);
    let stem = Filter::square(channels, from, 3).stride(2);
    let stem = ConvNorm::new(path, ["conv_stem", "bn1"], stem, START);
    let mut blocks = Vec::new();
    for (i, &(count, stride, side, expansion, to)) in STAGES.iter().enumerate() {
        let to = widened(to, wider);
        for j in 0..depth(count) {
            let filter = Filter::square(from, to, side).stride(if j == 0 { stride } else { 1 });
            let drop_rate = drop_rate(drop_path, blocks.len(), all);
            blocks.push(Block::new(&(path / "blocks" / i / j), filter, expansion, drop_rate));
            from = to;
        }
    }
    let width = widened(1280, wider);
    let head = ConvNorm::new(path, ["conv_head", "bn2"], Filter::square(from, width, 1), START);
    Box::new(EfficientNet { stem, blocks, head, width })
}

/// So many times the channels, rounded to a multiple of 8 that is not more than a tenth less.
fn widened(channels: i64, factor: f64) -> i64 {
    let wanted = channels as f64 * factor;
    let near = ((wanted + 4.0) / 8.0) as i64 * 8;
    if (near as f64) < 0.9 * wanted { near + 8 } else { near }
}

impl Backbone for EfficientNet {
    fn forward(&self, images: &Tensor, _valid: &Tensor, training: bool) -> Tensor {
        let stem = self.stem.forward(images, training).silu();
        let x = self.blocks.iter().fold(stem, |x, block| block.forward(&x, training));
        pooled(&self.head.forward(&x, training).silu())
    }

    fn width(&self) -> i64 {
        self.width
    }
}

impl Block {
    /// A block from and to the channels of `filter`, which it applies within.
    fn new(path: &nn::Path<'_>, filter: Filter, expansion: i64, drop_rate: f64) -> Self {
        let Filter { from, to, .. } = filter;
        let inner = from * expansion;
        // A block that does not expand has a layer less, and timm numbers those that are there.
        let (expand, depthwise, project) = if expansion == 1 {
            (None, ["conv_dw", "bn1"], ["conv_pw", "bn2"])
        } else {
            let expand = Filter::square(from, inner, 1);
            let expand = ConvNorm::new(path, ["conv_pw", "bn1"], expand, START);
            (Some(expand), ["conv_dw", "bn2"], ["conv_pwl", "bn3"])
        };
        let channelwise = Filter { from: inner, to: inner, groups: inner, ..filter };
        let (se, names) = (path / "se", ["conv_reduce", "conv_expand"]);
        Self {
            expand,
            depthwise: ConvNorm::new(path, depthwise, channelwise, START),
            squeeze: Squeeze::new(&se, names, [inner, from / 4], START, Tensor::silu),
            project: ConvNorm::new(path, project, Filter::square(inner, to, 1), START),
            skips: filter.stride == [1, 1] && from == to,
            drop_rate,
        }
    }

    fn forward(&self, x: &Tensor, training: bool) -> Tensor {
        let expanded = self.expand.as_ref().map(|expand| expand.forward(x, training).silu());
        let expanded = expanded.as_ref().unwrap_or(x);
        let depthwise = |x: &Tensor| self.depthwise.forward(x, training).silu();
        let inner = if x.device().is_cuda() || expanded.kind() == Kind::Float {
            depthwise(expanded)
        } else {
            // Torch's filters of single channels are slow in half the precision there.
            mixed(x.device(), false, || depthwise(&expanded.to_kind(Kind::Float)))
        };
        let y = self.project.forward(&self.squeeze.forward(&inner), training);
        if self.skips { drop_path(y, self.drop_rate, training) + x } else { y }
    }
}
