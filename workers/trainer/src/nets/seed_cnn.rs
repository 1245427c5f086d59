//! The original report's network over the image: convolutions and max-pooling, flattened.
//!
//! Always holds: images are of as many frames as the settings say.

use tch::Tensor;
use tch::nn::{self, Module as _};
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
            convolution.forward(&x).max_pool2d_default(2).relu()
        });
        self.image.forward(&pooled.flatten(1, -1)).relu()
    }

    fn width(&self) -> i64 {
        self.width
    }
}
