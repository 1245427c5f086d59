//! Spectrograms as they are stored, a byte a cell, scaled and cut where the network is.
//!
//! Always holds: what [`Cells::images`] gives is what [`crate::image::fill`] does on the host.

use tch::{Kind, Tensor};
use voxage_contract::{MelView, N_MELS};

use crate::device::bring;
use crate::scaler::Scaler;

/// Frames of some recordings, on the host, one recording after the other.
#[derive(Debug, Default)]
pub struct HostCells {
    bytes: Vec<u8>,
    /// Of each recording, its first frame.
    first: Vec<i64>,
    /// Of each recording, how many frames it has.
    length: Vec<i64>,
    /// Of each recording, by what a byte is multiplied.
    factor: Vec<f32>,
    /// Of each recording, what is added then.
    shift: Vec<f32>,
}

/// The same where the network is.
#[derive(Debug)]
pub struct Cells {
    /// `[n_frames, 128]`, bytes.
    frames: Tensor,
    first: Tensor,
    length: Tensor,
    factor: Tensor,
    shift: Tensor,
    /// Silence, scaled.
    silence: f64,
}

impl HostCells {
    /// Adds some frames of a recording whose spectrogram is stored as bytes.
    ///
    /// # Panics
    /// If it has no such frames.
    pub fn push(&mut self, mel: MelView<'_>, frames: std::ops::Range<usize>, scaler: &Scaler) {
        let norm = scaler.norm();
        self.first.push((self.bytes.len() / N_MELS) as i64);
        self.length.push(frames.len() as i64);
        self.bytes.extend(&mel.bytes[frames.start * N_MELS..frames.end * N_MELS]);
        self.factor.push(mel.scale * norm.factor);
        self.shift.push(norm.of(mel.offset));
    }

    /// Adds the recordings of another.
    pub fn append(&mut self, other: Self) {
        let before = (self.bytes.len() / N_MELS) as i64;
        self.bytes.extend(other.bytes);
        self.first.extend(other.first.iter().map(|first| before + first));
        self.length.extend(other.length);
        self.factor.extend(other.factor);
        self.shift.extend(other.shift);
    }

    /// As tensors on the host.
    pub fn tensors(&self) -> [Tensor; 5] {
        [
            Tensor::from_slice(&self.bytes).view([-1, N_MELS as i64]),
            Tensor::from_slice(&self.first),
            Tensor::from_slice(&self.length),
            Tensor::from_slice(&self.factor),
            Tensor::from_slice(&self.shift),
        ]
    }
}

impl Cells {
    /// Of [`HostCells::tensors`] where the network is.
    #[must_use]
    pub fn of([frames, first, length, factor, shift]: [Tensor; 5], scaler: &Scaler) -> Self {
        let silence = f64::from(scaler.norm().of(scaler.mel_min_db));
        Self { frames, first, length, factor, shift, silence }
    }

    /// Images `[n, 1, frames, 128]` of the recordings at some positions, each from a frame of
    /// its own on; what is beyond the recording is silence. And how many of their frames are
    /// the recording's, `[n]`.
    pub fn images(&self, which: &[i64], starts: &[i64], frames: usize) -> (Tensor, Tensor) {
        let device = self.frames.device();
        let which = bring(&Tensor::from_slice(which), device);
        let of = |each: &Tensor| each.index_select(0, &which);
        let frames = frames as i64;
        let steps = Tensor::arange(frames, (Kind::Int64, device));
        // [n, frames]: the frames of each recording that are seen.
        let seen = bring(&Tensor::from_slice(starts), device).unsqueeze(1) + steps;
        let inside = seen.lt_tensor(&of(&self.length).unsqueeze(1));
        let valid = inside.sum_dim_intlist(1, false, Kind::Int64);
        let last = self.frames.size()[0] - 1;
        let rows = (of(&self.first).unsqueeze(1) + seen).clamp_max(last.max(0));
        let cells = self.frames.index_select(0, &rows.flatten(0, -1));
        let cells = cells.view([-1, frames, N_MELS as i64]);
        let scale = |each: &Tensor| of(each).view([-1, 1, 1]);
        let scaled = cells.to_kind(Kind::Float) * scale(&self.factor) + scale(&self.shift);
        let silence = Tensor::full(1, self.silence, (Kind::Float, device));
        (scaled.where_self(&inside.unsqueeze(2), &silence).unsqueeze(1), valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Framing, fill};
    use voxage_contract::training::Image;
    use voxage_contract::{Mel, MelStorage};
    use voxage_dataset::Rng;

    #[test]
    fn images_are_those_of_the_host() {
        let scaler = Scaler { mel_min_db: -70.0, mel_max_db: 3.0, ..Scaler::default() };
        let framing = Framing { how: Image::RandomCrop, frames: 130, windows: 1 };
        let mut rng = Rng::new(&[5]);
        let mut noise = |frames: usize| {
            let cells: Vec<f32> =
                (0..frames * N_MELS).map(|_| rng.below(8000) as f32 / -100.0).collect();
            Mel::encode(&cells, MelStorage::U8)
        };
        let mels: Vec<Mel> = [300, 0, 20, 128, 129].map(&mut noise).into();
        let mut host = HostCells::default();
        for mel in &mels {
            host.push(mel.view(), 0..mel.n_frames, &scaler);
        }
        let cells = Cells::of(host.tensors(), &scaler);
        let (mut expected, mut lengths) = (Vec::new(), Vec::new());
        let (mut which, mut starts) = (Vec::new(), Vec::new());
        for i in [4, 0, 2, 1, 0, 3] {
            let mel: &Mel = &mels[i];
            let start = framing.start(mel.n_frames, Some(&mut rng));
            let mut image = vec![0.0; framing.cells()];
            fill(&mut image, mel.view(), start, &scaler);
            expected.extend(image);
            lengths.push(framing.valid(mel.n_frames, start));
            which.push(i as i64);
            starts.push(start.unwrap() as i64);
        }
        let (images, valid) = cells.images(&which, &starts, framing.frames);
        assert_eq!(images.size(), [6, 1, 130, 128]);
        assert_eq!(Vec::<i64>::try_from(valid).unwrap(), lengths);
        let found: Vec<f32> = (&images.flatten(0, -1)).try_into().unwrap();
        assert_eq!(found, expected);
    }
}
