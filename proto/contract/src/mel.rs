//! A log-mel spectrogram as it is stored: 128 bands × any number of frames, in dB.
//!
//! Always holds: `bytes` is row-major `[n_frames, 128]` of the storage's little-endian
//! numbers, and a cell's value in dB is `number * scale + offset`.

use half::f16;
use serde::{Deserialize, Serialize};

/// Mel bands of a spectrogram.
pub const N_MELS: usize = 128;

/// How the cells of a spectrogram are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MelStorage {
    /// One byte a cell, spread over the recording's own range: at most 0.157 dB off over 80 dB.
    #[default]
    U8,
    /// Half precision: at most 0.04 dB off.
    F16,
    /// As computed.
    F32,
}

/// A stored spectrogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Mel {
    /// Number of frames.
    pub n_frames: usize,
    /// What the bytes are.
    pub storage: MelStorage,
    /// Factor from a stored number to dB.
    pub scale: f32,
    /// Added after scaling, in dB.
    pub offset: f32,
    /// The cells, frame after frame.
    pub bytes: Vec<u8>,
}

/// A stored spectrogram that is kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MelView<'a> {
    /// Number of frames.
    pub n_frames: usize,
    /// What the bytes are.
    pub storage: MelStorage,
    /// Factor from a stored number to dB.
    pub scale: f32,
    /// Added after scaling, in dB.
    pub offset: f32,
    /// The cells, frame after frame.
    pub bytes: &'a [u8],
}

impl MelStorage {
    /// Bytes of one cell.
    #[must_use]
    pub fn cell_bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

impl Mel {
    /// Stores `db`, row-major `[n_frames, 128]` of finite values in dB.
    #[must_use]
    pub fn encode(db: &[f32], storage: MelStorage) -> Self {
        let (mut scale, mut offset) = (1.0, 0.0);
        let bytes = match storage {
            MelStorage::U8 => {
                let (min, max) = range(db);
                (scale, offset) = ((max - min) / 255.0, min);
                let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
                // `as u8` saturates and 0.5 rounds: no cell leaves 0..=255.
                db.iter().map(|&x| ((x - offset) * inverse + 0.5) as u8).collect()
            }
            MelStorage::F16 => db.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
            MelStorage::F32 => db.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        Self { n_frames: db.len() / N_MELS, storage, scale, offset, bytes }
    }

    /// This spectrogram, borrowed.
    #[must_use]
    pub fn view(&self) -> MelView<'_> {
        let &Self { n_frames, storage, scale, offset, ref bytes } = self;
        MelView { n_frames, storage, scale, offset, bytes }
    }

    /// The cells in dB, row-major `[n_frames, 128]`.
    #[must_use]
    pub fn to_db(&self) -> Vec<f32> {
        self.view().to_db()
    }
}

impl MelView<'_> {
    /// Least and greatest cell in dB; zeros where there are none. Bytes are spread over their
    /// recording's own range, so that of those none is looked at.
    #[must_use]
    pub fn range_db(self) -> (f32, f32) {
        match self.storage {
            MelStorage::U8 => (self.offset, 255.0 * self.scale + self.offset),
            MelStorage::F16 | MelStorage::F32 => range(&self.to_db()),
        }
    }

    /// The cells in dB, row-major `[n_frames, 128]`.
    ///
    /// # Panics
    /// If the bytes are fewer than the frames take.
    #[must_use]
    pub fn to_db(self) -> Vec<f32> {
        let bytes = &self.bytes[..self.n_frames * N_MELS * self.storage.cell_bytes()];
        match self.storage {
            MelStorage::U8 => {
                bytes.iter().map(|&x| f32::from(x) * self.scale + self.offset).collect()
            }
            MelStorage::F16 => {
                let (pairs, _) = bytes.as_chunks::<2>();
                pairs.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect()
            }
            MelStorage::F32 => {
                let (quads, _) = bytes.as_chunks::<4>();
                quads.iter().map(|&x| f32::from_le_bytes(x)).collect()
            }
        }
    }
}

/// Least and greatest of `values`; zeros where there are none.
#[must_use]
pub fn range(values: &[f32]) -> (f32, f32) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &x| (lo.min(x), hi.max(x)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn storage_keeps_values_within_its_error(
            cells in prop::collection::vec(-80.0f32..0.0, N_MELS..=N_MELS * 3),
        ) {
            let cells = &cells[..cells.len() / N_MELS * N_MELS];
            for (storage, error) in [
                (MelStorage::U8, 80.0 / 255.0 / 2.0 + 1e-4),
                (MelStorage::F16, 0.04),
                (MelStorage::F32, 0.0),
            ] {
                let mel = Mel::encode(cells, storage);
                prop_assert_eq!(mel.bytes.len(), cells.len() * storage.cell_bytes());
                prop_assert_eq!(mel.view().range_db(), range(&mel.to_db()));
                for (a, b) in mel.to_db().iter().zip(cells) {
                    prop_assert!((a - b).abs() <= error, "{storage:?}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_constant_spectrogram_stays_constant() {
        let mel = Mel::encode(&[-3.5; N_MELS], MelStorage::U8);
        assert_eq!(mel.to_db(), [-3.5; N_MELS]);
        assert_eq!(mel.view().range_db(), (-3.5, -3.5));
        assert_eq!(Mel::encode(&[], MelStorage::U8).view().range_db(), (0.0, 0.0));
    }
}
