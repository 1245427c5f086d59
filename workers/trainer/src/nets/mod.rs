//! Networks over spectrogram images: published architectures under timm's tensor names, and
//! compact ones of our own.
//!
//! Always holds: a backbone makes features of images and knows nothing of ages; outside
//! training the same images give the same features.

mod ecapa;
mod efficientnet;
mod filter;
mod frames;
mod layers;
mod nfnet;
mod pooling;
mod pretrained;
mod se_resnet;
mod se_resnext;
mod seed_cnn;

use std::fmt::Debug;

use tch::{Tensor, nn};
use voxage_contract::training::{Architecture, TrainSettings};

use crate::{Error, Result};

pub(crate) use frames::Frames;
pub use pretrained::load_pretrained;

/// A network without its head.
pub trait Backbone: Debug + Send {
    /// Features `[n, width]` of scaled images `[n, channels, frames, bands]`, of which the
    /// first `valid` frames (`Int64`, `[n]`, on the images' device) are real. The compact
    /// networks do not see what is beyond; to the others it is a part of the image.
    fn forward(&self, images: &Tensor, valid: &Tensor, training: bool) -> Tensor;

    /// How many features it makes.
    fn width(&self) -> i64;
}

/// The network of an architecture with initial weights from torch's generator, for images of
/// `channels` channels. The settings must have passed their check.
///
/// # Errors
/// If the architecture is no network.
pub fn backbone(
    path: &nn::Path<'_>,
    channels: i64,
    settings: &TrainSettings,
) -> Result<Box<dyn Backbone>> {
    let drop_path = settings.drop_path;
    let efficientnet = |scale| efficientnet::new(path, channels, scale, drop_path);
    Ok(match settings.architecture {
        Architecture::SeedCnnMlp => seed_cnn::new(path, channels, settings),
        Architecture::SeResNet => se_resnet::new(path, channels, settings),
        Architecture::Ecapa => ecapa::new(path, channels, settings),
        Architecture::EfficientNetB0 => efficientnet((1.0, 1.0)),
        Architecture::EfficientNetB1 => efficientnet((1.0, 1.1)),
        Architecture::EfficientNetB2 => efficientnet((1.1, 1.2)),
        Architecture::EfficientNetB3 => efficientnet((1.2, 1.4)),
        Architecture::SeResNext50 => se_resnext::new(path, channels, drop_path),
        Architecture::NfNetF0 => nfnet::new(path, channels, drop_path),
        Architecture::Blend => {
            let why = "train.architecture: a blend is not trained: `voxage models blend` makes one";
            return Err(Error::Setting(why.into()));
        }
        Architecture::Gp | Architecture::Ridge | Architecture::Trees => {
            let name = settings.architecture.name();
            return Err(Error::Setting(format!("train.architecture: {name} is no network")));
        }
    })
}

#[cfg(test)]
mod tests;
