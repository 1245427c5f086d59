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
mod settings;

use std::fmt::Debug;

use tch::{Tensor, nn};

pub use pretrained::load_pretrained;
pub use settings::{Ecapa, Net, NetSettings, SeResNet};

/// A network without its head.
pub trait Backbone: Debug + Send {
    /// Features `[n, width]` of scaled images `[n, channels, frames, bands]`, of which the
    /// first `valid` frames (`Int64`, `[n]`, on the images' device) are real. The compact
    /// networks do not see what is beyond; to the published ones it is a part of the image.
    fn forward(&self, images: &Tensor, valid: &Tensor, training: bool) -> Tensor;

    /// How many features it makes.
    fn width(&self) -> i64;
}

/// A network with initial weights from torch's generator, for images of `channels` channels.
/// The settings must have passed their check.
#[must_use]
pub fn backbone(
    path: &nn::Path<'_>,
    net: Net,
    channels: i64,
    settings: &NetSettings,
) -> Box<dyn Backbone> {
    let drop_path = settings.drop_path;
    match net {
        Net::EfficientNetB0 => efficientnet::new(path, channels, (1.0, 1.0), drop_path),
        Net::EfficientNetB1 => efficientnet::new(path, channels, (1.0, 1.1), drop_path),
        Net::EfficientNetB2 => efficientnet::new(path, channels, (1.1, 1.2), drop_path),
        Net::EfficientNetB3 => efficientnet::new(path, channels, (1.2, 1.4), drop_path),
        Net::SeResNext50 => se_resnext::new(path, channels, drop_path),
        Net::NfNetF0 => nfnet::new(path, channels, drop_path),
        Net::SeResNet => se_resnet::new(path, channels, settings),
        Net::Ecapa => ecapa::new(path, channels, settings),
    }
}
