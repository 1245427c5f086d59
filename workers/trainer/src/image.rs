//! One 128 × 128 image from a spectrogram of any length.

use voxage_contract::training::Image;
use voxage_contract::{MelView, N_MELS};
use voxage_dataset::{Rng, window};

use crate::scaler::Scaler;

/// Frames and bands of an image.
pub const SIDE: usize = N_MELS;

/// Fills the image of a spectrogram, row-major `[128 frames, 128 bands]`, scaled. `crop` draws
/// the place of a random crop; without it the middle is taken. What is beyond the recording
/// is silence.
///
/// # Panics
/// If the image is of another size.
pub fn fill(
    image: &mut [f32],
    mel: MelView<'_>,
    how: Image,
    crop: Option<&mut Rng>,
    scaler: &Scaler,
) {
    let norm = scaler.norm();
    match window_start(mel.n_frames, how, crop) {
        Some(start) => window(mel, start, norm, norm.of(scaler.mel_min_db), image),
        None => {
            let cells = resized(mel, scaler.mel_min_db);
            for (out, db) in image.iter_mut().zip(cells) {
                *out = norm.of(db);
            }
        }
    }
}

/// The first frame of the window that an image is; none if it is made of all frames.
pub fn window_start(n_frames: usize, how: Image, crop: Option<&mut Rng>) -> Option<usize> {
    let spare = n_frames.saturating_sub(SIDE);
    match (how, crop) {
        (Image::Resize, _) => None,
        (Image::First, _) => Some(0),
        (Image::RandomCrop, Some(rng)) => Some(rng.below(spare + 1)),
        (Image::RandomCrop, None) => Some(spare / 2),
    }
}

/// All frames brought to 128: averaged where there are more, interpolated where fewer.
fn resized(mel: MelView<'_>, silence_db: f32) -> Vec<f32> {
    let (cells, n) = (mel.to_db(), mel.n_frames);
    if n == 0 {
        return vec![silence_db; SIDE * SIDE];
    }
    let frame = |i: usize| &cells[i * N_MELS..(i + 1) * N_MELS];
    let mut image = Vec::with_capacity(SIDE * SIDE);
    for i in 0..SIDE {
        if n >= SIDE {
            let frames = i * n / SIDE..(i + 1) * n / SIDE;
            let count = frames.len() as f32;
            let mean = |band| frames.clone().map(|f| frame(f)[band]).sum::<f32>() / count;
            image.extend((0..N_MELS).map(mean));
        } else {
            let at = i as f32 * (n - 1) as f32 / (SIDE - 1) as f32;
            let (low, part) = (at as usize, at.fract());
            let (a, b) = (frame(low), frame((low + 1).min(n - 1)));
            image.extend(a.iter().zip(b).map(|(a, b)| a + (b - a) * part));
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use voxage_contract::{Mel, MelStorage};

    /// A spectrogram whose frame i holds the value i.
    fn ramp(n_frames: usize) -> Mel {
        let cells: Vec<f32> = (0..n_frames).flat_map(|i| [i as f32; N_MELS]).collect();
        Mel::encode(&cells, MelStorage::F32)
    }

    /// An image that is scaled by nothing.
    fn image(mel: &Mel, how: Image, rng: Option<&mut Rng>) -> Vec<f32> {
        let scaler = Scaler { mel_min_db: -1.0, mel_max_db: 0.0, inputs: vec![] };
        let mut image = vec![f32::NAN; SIDE * SIDE];
        fill(&mut image, mel.view(), how, rng, &scaler);
        image.iter().map(|x| x - 1.0).collect()
    }

    fn frames(mel: &Mel, how: Image, rng: Option<&mut Rng>) -> Vec<f32> {
        image(mel, how, rng).iter().copied().step_by(SIDE).collect()
    }

    #[test]
    fn the_first_frames_are_padded_with_silence() {
        let frames = frames(&ramp(3), Image::First, None);
        assert_eq!(frames[..5], [0.0, 1.0, 2.0, -1.0, -1.0]);
    }

    #[test]
    fn the_middle_stands_for_a_random_crop_outside_training() {
        assert_eq!(frames(&ramp(328), Image::RandomCrop, None)[0], 100.0);
        let mut rng = Rng::new(&[1]);
        let starts: Vec<_> =
            (0..50).map(|_| frames(&ramp(130), Image::RandomCrop, Some(&mut rng))[0]).collect();
        assert!([0.0, 1.0, 2.0].iter().all(|start| starts.contains(start)));
    }

    #[test]
    fn resizing_averages_or_interpolates() {
        assert_eq!(frames(&ramp(256), Image::Resize, None)[..2], [0.5, 2.5]);
        let stretched = frames(&ramp(2), Image::Resize, None);
        assert_eq!((stretched[0], stretched[127]), (0.0, 1.0));
        assert!((stretched[63] - 63.0 / 127.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn every_length_gives_an_image(n in 0usize..700) {
            for how in [Image::First, Image::Resize, Image::RandomCrop] {
                let image = image(&ramp(n), how, None);
                prop_assert_eq!(image.len(), SIDE * SIDE);
                prop_assert!(image.iter().all(|x| x.is_finite()));
            }
        }
    }
}
