//! A window of a spectrogram, from its storage to what a network takes.

use multiversion::multiversion;
use voxage_contract::{MelStorage, MelView, N_MELS};

/// From dB to what a network takes: `dB * factor + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// By what dB are multiplied.
    pub factor: f32,
    /// What is added then.
    pub shift: f32,
}

impl Norm {
    /// What takes `min_db` to 0 and `max_db` to 1; all to 0 if they are the same.
    #[must_use]
    pub fn between(min_db: f32, max_db: f32) -> Self {
        let range = max_db - min_db;
        let factor = if range > 0.0 { range.recip() } else { 0.0 };
        Self { factor, shift: -min_db * factor }
    }

    /// Of one value in dB.
    #[must_use]
    pub fn of(self, db: f32) -> f32 {
        db * self.factor + self.shift
    }
}

/// Fills `out`, row-major `[any number of frames, 128]`, with the frames from `start` on;
/// what is beyond the recording becomes `padding`.
pub fn window(mel: MelView<'_>, start: usize, norm: Norm, padding: f32, out: &mut [f32]) {
    let cell_bytes = mel.storage.cell_bytes();
    let bytes = mel.bytes.get(start * N_MELS * cell_bytes..).unwrap_or_default();
    let n_cells = out.len().min(bytes.len() / cell_bytes);
    let (cells, beyond) = out.split_at_mut(n_cells);
    let bytes = &bytes[..n_cells * cell_bytes];
    // Both steps, storage to dB and dB to the network's, as one.
    let (factor, shift) = (mel.scale * norm.factor, norm.of(mel.offset));
    match mel.storage {
        MelStorage::U8 => of_u8(bytes, factor, shift, cells),
        MelStorage::F16 => of_f16(bytes.as_chunks().0, factor, shift, cells),
        MelStorage::F32 => of_f32(bytes.as_chunks().0, factor, shift, cells),
    }
    beyond.fill(padding);
}

#[multiversion(targets = "simd")]
fn of_u8(cells: &[u8], factor: f32, shift: f32, out: &mut [f32]) {
    for (out, &cell) in out.iter_mut().zip(cells) {
        *out = f32::from(cell) * factor + shift;
    }
}

#[multiversion(targets = "simd")]
fn of_f32(cells: &[[u8; 4]], factor: f32, shift: f32, out: &mut [f32]) {
    for (out, &cell) in out.iter_mut().zip(cells) {
        *out = f32::from_le_bytes(cell) * factor + shift;
    }
}

/// As [`half::f16`] has it, without branches: as a float of tiny exponent, scaled up.
#[multiversion(targets = "simd")]
fn of_f16(cells: &[[u8; 2]], factor: f32, shift: f32, out: &mut [f32]) {
    /// What the smaller exponent is short of: 2^(127 - 15).
    const SCALE: f32 = f32::from_bits((127 + 112) << 23);
    for (out, &cell) in out.iter_mut().zip(cells) {
        let cell = u32::from(u16::from_le_bytes(cell));
        let bits = (cell & 0x8000) << 16 | (cell & 0x7FFF) << 13;
        *out = f32::from_bits(bits) * SCALE * factor + shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use voxage_contract::Mel;

    proptest! {
        #[test]
        fn a_window_is_that_of_the_decibels(
            cells in prop::collection::vec(-80.0f32..5.0, 0..20 * N_MELS),
            storage in prop::sample::select(vec![MelStorage::U8, MelStorage::F16, MelStorage::F32]),
            start in 0..22usize,
            frames in 0..22usize,
        ) {
            let mel = Mel::encode(&cells[..cells.len() / N_MELS * N_MELS], storage);
            let norm = Norm::between(-80.0, 0.0);
            let mut out = vec![f32::NAN; frames * N_MELS];
            window(mel.view(), start, norm, -1.0, &mut out);
            let db = mel.to_db();
            let inside = db.get(start * N_MELS..).unwrap_or_default().iter().map(|&x| norm.of(x));
            for (found, expected) in out.iter().zip(inside.chain(std::iter::repeat(-1.0))) {
                prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn a_range_of_nothing_is_zero() {
        assert_eq!(Norm::between(-3.0, -3.0).of(-3.0), 0.0);
    }
}
