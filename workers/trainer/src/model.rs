//! The networks. One so far: `seed-cnn-mlp`, the original report's.

use tch::nn::{self, Module as _};
use tch::{Kind, Tensor};
use voxage_contract::training::TrainSettings;

use crate::image::SIDE;

/// A 128 × 128 log-mel image through convolutions and max-pooling, flattened; the table
/// through an MLP; both joined into what is learned of the age.
#[derive(Debug)]
pub struct Model {
    convolutions: Vec<nn::Conv2D>,
    image: nn::Linear,
    table: Vec<nn::Linear>,
    head: nn::Linear,
    age: nn::Linear,
    dropout: f64,
}

impl Model {
    /// A network with initial weights from torch's generator, for a table of `inputs`
    /// columns. The settings must have passed their check.
    #[must_use]
    pub fn new(path: &nn::Path<'_>, settings: &TrainSettings, inputs: i64) -> Self {
        let side = SIDE as i64 >> settings.channels.len();
        let mut from = 1;
        let mut convolutions = Vec::new();
        for (i, &to) in settings.channels.iter().enumerate() {
            let config = nn::ConvConfig { padding: 1, ..Default::default() };
            convolutions.push(nn::conv2d(path / format!("conv{i}"), from, to, 3, config));
            from = to;
        }
        let dense = |name: &str, from, to| nn::linear(path / name, from, to, Default::default());
        let image = dense("image", from * side * side, settings.image_units);
        let mut width = inputs;
        let mut table = Vec::new();
        for (i, &to) in settings.table_units.iter().enumerate() {
            table.push(dense(&format!("table{i}"), width, to));
            width = to;
        }
        let head = dense("head", settings.image_units + width, settings.head_units);
        let flat = nn::LinearConfig { ws_init: nn::Init::Const(0.0), ..Default::default() };
        let age = nn::linear(path / "age", settings.head_units, 1, flat);
        Self { convolutions, image, table, head, age, dropout: settings.dropout }
    }

    /// Starts the prediction at a mean, so that the first steps need not find it.
    pub fn start_at(&mut self, learned: f64) {
        if let Some(bias) = &mut self.age.bs {
            tch::no_grad(|| {
                let _ = bias.fill_(learned);
            });
        }
    }

    /// Images `[n, 1, 128, 128]` and tables `[n, inputs]`, both scaled, to what is learned of
    /// the ages, `[n]`.
    pub fn forward(&self, images: &Tensor, tables: &Tensor, training: bool) -> Tensor {
        let pooled = self.convolutions.iter().fold(images.shallow_clone(), |x, convolution| {
            convolution.forward(&x).relu().max_pool2d_default(2)
        });
        let image = self.image.forward(&pooled.flatten(1, -1)).relu();
        let table =
            self.table.iter().fold(tables.shallow_clone(), |x, layer| layer.forward(&x).relu());
        let joined = Tensor::cat(&[image, table], 1).dropout(self.dropout, training);
        let head = self.head.forward(&joined).relu();
        self.age.forward(&head).squeeze_dim(1).to_kind(Kind::Float)
    }
}
