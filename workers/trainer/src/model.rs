//! The networks: one over the image, layers over the table and the embedding, joined into
//! what is learned of the age.

use tch::nn::{self, Module as _};
use tch::{Kind, Tensor};
use voxage_contract::training::{Architecture, TrainSettings};

use crate::Result;
use crate::device::mixed;
use crate::inputs::Tensors;
use crate::nets::{Backbone, backbone};
use crate::scaler::Scaler;

/// Where the weights of the network over the image are, but for those of `seed-cnn-mlp`.
pub const BACKBONE: &str = "backbone";

/// A network.
#[derive(Debug)]
pub struct Model {
    image: Box<dyn Backbone>,
    table: Vec<nn::Linear>,
    embedding: Option<nn::Linear>,
    head: nn::Linear,
    age: nn::Linear,
    /// Columns of the table.
    columns: i64,
    /// Whether the image is brought from 0..1 to about a mean of 0 and a deviation of 1, as
    /// published networks know it.
    centred: bool,
    /// Whether images are said to have their channels last.
    channels_last: bool,
    dropout: f64,
}

impl Model {
    /// A network with initial weights from torch's generator, for inputs that are scaled so.
    /// The settings must have passed their check.
    ///
    /// # Errors
    /// If the architecture is no network.
    pub fn new(
        path: &nn::Path<'_>,
        settings: &TrainSettings,
        scaler: &Scaler,
        outputs: i64,
    ) -> Result<Self> {
        let seed = settings.architecture == Architecture::SeedCnnMlp;
        let image = if seed {
            backbone(path, 1, settings)?
        } else {
            backbone(&(path / BACKBONE), 1, settings)?
        };
        let dense = |name: &str, from, to| nn::linear(path / name, from, to, Default::default());
        let columns = scaler.inputs.len() as i64;
        let mut width = columns;
        let mut table = Vec::new();
        for (i, &to) in settings.table_units.iter().enumerate() {
            table.push(dense(&format!("table{i}"), width, to));
            width = to;
        }
        width += image.width();
        let mut embedding = None;
        if scaler.embedding > 0 {
            let units = settings.embedding_units;
            embedding = Some(dense("embedding", scaler.embedding as i64, units));
            width += units;
        }
        let head = dense("head", width, settings.head_units);
        let flat = nn::LinearConfig { ws_init: nn::Init::Const(0.0), ..Default::default() };
        let age = nn::linear(path / "age", settings.head_units, outputs, flat);
        // On the processor only where it is safe: with channels last, libtorch 2.11's strided
        // convolutions of one cell crash if their channels are no multiple of 16, which those of
        // published networks are.
        let channels = match settings.architecture {
            Architecture::SeedCnnMlp => settings.channels.as_slice(),
            Architecture::SeResNet => settings.se_resnet.channels.as_slice(),
            _ => &[],
        };
        let channels_last =
            path.device().is_cuda() || channels.iter().all(|channels| channels % 16 == 0);
        let (centred, dropout) = (!seed, settings.dropout);
        Ok(Self { image, table, embedding, head, age, columns, centred, channels_last, dropout })
    }

    /// Starts the outputs `[outputs]` where a mean is, so that the first steps need not find it.
    pub fn start_at(&mut self, outputs: &Tensor) {
        if let Some(bias) = &mut self.age.bs {
            tch::no_grad(|| bias.copy_(outputs));
        }
    }

    /// Scaled inputs to outputs, `[n, outputs]`.
    pub fn forward(&self, inputs: &Tensors, training: bool) -> Tensor {
        let Tensors { images, valid, tables } = inputs;
        let images = if self.centred { (images - 0.5) * 4.0 } else { images.shallow_clone() };
        let images = if self.channels_last { channels_last(&images) } else { images };
        let image = self.image.forward(&images, valid, training);
        let columns = tables.narrow(1, 0, self.columns);
        let table = self.table.iter().fold(columns, |x, layer| layer.forward(&x).relu());
        let mut parts = vec![image, table];
        if let Some(layer) = &self.embedding {
            let numbers = tables.size()[1] - self.columns;
            parts.push(layer.forward(&tables.narrow(1, self.columns, numbers)).relu());
        }
        let joined = Tensor::cat(&parts, 1).dropout(self.dropout, training);
        let head = self.head.forward(&joined).relu();
        // In whole precision: half of it would tell ages to some tenths of a year only.
        mixed(head.device(), false, || self.age.forward(&head.to_kind(Kind::Float)))
    }
}

/// The same images of one channel, said to have the channels of a cell side by side in memory:
/// what comes of them then has, and torch's poolings are faster so.
fn channels_last(images: &Tensor) -> Tensor {
    let size = images.size();
    images.contiguous().as_strided(&size, [size[2] * size[3], 1, size[3], 1], None)
}
