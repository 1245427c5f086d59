//! Changes to a training's batches, that a network may not learn its recordings by heart.
//!
//! Always holds: what is drawn follows from torch's generator; what is off draws nothing.
//! Frames beyond a recording stay what they were.

use tch::{Kind, Tensor};
use voxage_contract::training::Augment;

use crate::inputs::Tensors;
use crate::nets::Frames;

/// Changes inputs and what is learned of them, `[n]`. Images go from 0 to 1 over `range_db`.
pub fn augment(
    inputs: &Tensors,
    targets: &Tensor,
    how: &Augment,
    range_db: f64,
) -> (Tensors, Tensor) {
    let mut inputs = inputs.narrow(0, targets.size()[0]);
    let mut targets = targets.shallow_clone();
    if how.shift > 0 {
        shift(&mut inputs, how.shift);
    }
    if range_db > 0.0 && (how.gain_db > 0.0 || how.noise_db > 0.0) {
        level(&mut inputs, how.gain_db / range_db, how.noise_db / range_db);
    }
    for _ in 0..how.masks {
        mask(&mut inputs, 2, how.time_mask);
        mask(&mut inputs, 3, how.band_mask);
    }
    if how.mixup > 0.0 {
        targets = mix(&mut inputs, &targets, how.mixup);
    }
    (inputs, targets)
}

/// Numbers from 0 to below 1, one for each image, `[n, 1, 1, 1]`.
fn draw(images: &Tensor) -> Tensor {
    Tensor::rand([images.size()[0], 1, 1, 1], (Kind::Float, images.device()))
}

/// Moves each image by up to `most` frames, later or earlier; silence moves in.
fn shift(inputs: &mut Tensors, most: i64) {
    let Tensors { images, valid, .. } = inputs;
    let frames = images.size()[2];
    let by = ((draw(images) * (2 * most + 1) as f64).floor() - most as f64).to_kind(Kind::Int64);
    let positions = Tensor::arange(frames, (Kind::Int64, images.device())).view([1, 1, -1, 1]);
    let from = positions - &by;
    let inside = from.ge(0).logical_and(&from.lt(frames)).to_kind(Kind::Float);
    let from = from.clamp(0, frames - 1).expand_as(&*images);
    *images = images.gather(2, &from, false) * inside;
    *valid = (&*valid + by.view(-1)).clamp(1, frames);
}

/// Adds up to `gain` to all cells of an image, or takes it away, and noise of a deviation of
/// `noise` to each; nothing gets below silence.
fn level(inputs: &mut Tensors, gain: f64, noise: f64) {
    let Tensors { images, valid, .. } = inputs;
    let gains = (draw(images) * 2.0 - 1.0) * gain;
    let change = if noise > 0.0 { gains + images.randn_like() * noise } else { gains };
    let frames = Frames::new(valid, images.size()[2]);
    *images = (&*images + frames.only(&change.expand_as(&*images))).clamp_min(0.0);
}

/// Levels up to `most` frames or bands in a row (Park et al. 2019) with the image's mean.
fn mask(inputs: &mut Tensors, dimension: i64, most: i64) {
    if most == 0 {
        return;
    }
    let Tensors { images, valid, .. } = inputs;
    let real = Frames::new(valid, images.size()[2]);
    let all = images.size()[dimension as usize];
    let extent = if dimension == 2 {
        valid.clamp(1, all).to_kind(Kind::Float).view([-1, 1, 1, 1])
    } else {
        Tensor::full(1, all as f64, (Kind::Float, images.device()))
    };
    let length = (draw(images) * (most + 1) as f64).floor().minimum(&extent);
    let first = (draw(images) * (extent - &length + 1.0)).floor();
    let mut shape = [1; 4];
    shape[dimension as usize] = all;
    let positions = Tensor::arange(all, (Kind::Float, images.device())).view(shape);
    let masked = positions.ge_tensor(&first).logical_and(&positions.lt_tensor(&(first + length)));
    let masked = real.only(&masked.to_kind(Kind::Float).expand_as(&*images));
    *images = &*images + masked * (real.mean(images) - &*images);
}

/// Mixes each recording with another (Zhang et al. 2018), by a share that is drawn from a beta
/// distribution; gives the mixed targets.
fn mix(inputs: &mut Tensors, targets: &Tensor, alpha: f64) -> Tensor {
    let Tensors { images, valid, tables } = inputs;
    let options = (Kind::Float, images.device());
    let gammas = Tensor::full([2], alpha, options).internal_standard_gamma();
    let share = gammas.get(0) / gammas.sum(Kind::Float);
    let other = Tensor::randperm(images.size()[0], (Kind::Int64, images.device()));
    let mixed = |x: &Tensor| x.index_select(0, &other).lerp_tensor(x, &share);
    *images = mixed(images);
    *tables = mixed(tables);
    *valid = valid.maximum(&valid.index_select(0, &other));
    mixed(targets)
}

#[cfg(test)]
mod tests;
