//! The original report's network over the image: convolutions and max-pooling, flattened.
//!
//! Always holds: images are of as many frames as the settings say.

use tch::nn::{self, Module as _};
use tch::{Kind, Tensor};
use voxage_contract::N_MELS;
use voxage_contract::training::TrainSettings;

use super::Backbone;

#[derive(Debug)]
struct SeedCnn {
    convolutions: Vec<nn::Conv2D>,
    image: nn::Linear,
    width: i64,
}

/// The network for images of `channels` channels.
pub fn new(path: &nn::Path<'_>, channels: i64, settings: &TrainSettings) -> Box<dyn Backbone> {
    let halved = |side: usize| side as i64 >> settings.channels.len();
    let mut from = channels;
    let mut convolutions = Vec::new();
    for (i, &to) in settings.channels.iter().enumerate() {
        let config = nn::ConvConfig { padding: 1, ..Default::default() };
        convolutions.push(nn::conv2d(path / format!("conv{i}"), from, to, 3, config));
        from = to;
    }
    let cells = from * halved(settings.frames) * halved(N_MELS);
    let width = settings.image_units;
    let image = nn::linear(path / "image", cells, width, Default::default());
    Box::new(SeedCnn { convolutions, image, width })
}

impl Backbone for SeedCnn {
    fn forward(&self, images: &Tensor, _valid: &Tensor, _training: bool) -> Tensor {
        let pooled = self.convolutions.iter().fold(images.shallow_clone(), |x, convolution| {
            // The same as in the report's order, with a quarter of the work.
            pooled(convolution, &x).relu()
        });
        self.image.forward(&pooled.flatten(1, -1)).relu()
    }

    fn width(&self) -> i64 {
        self.width
    }
}

/// The maxima of a convolution's cells, two by two.
fn pooled(convolution: &nn::Conv2D, x: &Tensor) -> Tensor {
    let Some(bias) = convolution.bs.as_ref().filter(|_| x.device().is_cuda()) else {
        return convolution.forward(x).max_pool2d_default(2);
    };
    let weights = &convolution.ws;
    let cells = if x.size()[1] == 1 {
        of_one_channel(weights, &x.to_kind(Kind::BFloat16))
    } else {
        x.conv2d(weights, None::<&Tensor>, 1, 1, 1, 1)
    };
    let maxima = cells.max_pool2d_default(2);
    // What is added to all cells of a channel can be added to their maxima. On the processor it
    // costs nothing to begin with.
    let bias = bias.to_kind(maxima.kind()).view([1, -1, 1, 1]);
    maxima + bias
}

/// The convolution of images of one channel as a product of matrices: several times as fast
/// as cuDNN's, which is made for many channels.
pub(super) fn of_one_channel(weights: &Tensor, images: &Tensor) -> Tensor {
    let size = images.size();
    // Squares of 4 × 4, whose last row and column have no weight: rows of 16 are aligned.
    let padded = images.constant_pad_nd([1, 2, 1, 2]);
    let squares = padded.unfold(2, 4, 1).unfold(3, 4, 1).reshape([-1, 16]);
    let weights = weights.constant_pad_nd([0, 1, 0, 1]).view([-1, 16]);
    let cells = squares.linear(&weights, None::<&Tensor>);
    cells.view([size[0], size[2], size[3], -1]).permute([0, 3, 1, 2])
}
