//! One image of some frames from a spectrogram of any length.

use voxage_contract::training::{Image, TrainSettings};
use voxage_contract::{MelView, N_MELS};
use voxage_dataset::{Rng, window};

use crate::scaler::Scaler;

/// Which frames of a recording become an image.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// How they are chosen.
    pub how: Image,
    /// How many an image has.
    pub frames: usize,
    /// Images that a prediction is the mean of, at most.
    pub windows: usize,
}

impl Framing {
    /// That of some settings.
    #[must_use]
    pub fn of(settings: &TrainSettings) -> Self {
        Self { how: settings.image, frames: settings.frames, windows: settings.windows }
    }

    /// Numbers of an image.
    #[must_use]
    pub fn cells(self) -> usize {
        self.frames * N_MELS
    }

    /// The first frame of the window that an image of a recording is; none if it is made of
    /// all frames. `crop` draws the place of a random crop; without it the middle is taken.
    #[must_use]
    pub fn start(self, n_frames: usize, crop: Option<&mut Rng>) -> Option<usize> {
        let spare = n_frames.saturating_sub(self.frames);
        match (self.how, crop) {
            (Image::Resize, _) => None,
            (Image::First, _) => Some(0),
            (Image::RandomCrop, Some(rng)) => Some(rng.below(spare + 1)),
            (Image::RandomCrop, None) => Some(spare / 2),
        }
    }

    /// The same for each of the images that a prediction is the mean of.
    #[must_use]
    pub fn starts(self, n_frames: usize) -> Vec<Option<usize>> {
        let windows = n_frames.div_ceil(self.frames).min(self.windows);
        if self.how != Image::RandomCrop || windows < 2 {
            return vec![self.start(n_frames, None)];
        }
        let spare = n_frames - self.frames;
        (0..windows).map(|i| Some(spare * i / (windows - 1))).collect()
    }

    /// How many frames of an image are the recording's.
    #[must_use]
    pub fn valid(self, n_frames: usize, start: Option<usize>) -> i64 {
        start.map_or(self.frames, |start| (n_frames - start).min(self.frames)) as i64
    }
}

/// Fills an image of any number of frames, row-major `[frames, 128 bands]`, scaled, with the
/// frames of a spectrogram from `start` on, or, if that is none, with all of them, brought to
/// that number. What is beyond the recording is silence.
pub fn fill(image: &mut [f32], mel: MelView<'_>, start: Option<usize>, scaler: &Scaler) {
    let norm = scaler.norm();
    match start {
        Some(start) => window(mel, start, norm, norm.of(scaler.mel_min_db), image),
        None => {
            let cells = resized(mel, image.len() / N_MELS, scaler.mel_min_db);
            for (out, db) in image.iter_mut().zip(cells) {
                *out = norm.of(db);
            }
        }
    }
}

/// All frames brought to `frames`: averaged where there are more, interpolated where fewer.
fn resized(mel: MelView<'_>, frames: usize, silence_db: f32) -> Vec<f32> {
    let (cells, n) = (mel.to_db(), mel.n_frames);
    if n == 0 {
        return vec![silence_db; frames * N_MELS];
    }
    let frame = |i: usize| &cells[i * N_MELS..(i + 1) * N_MELS];
    let mut image = Vec::with_capacity(frames * N_MELS);
    for i in 0..frames {
        if n >= frames {
            let seen = i * n / frames..(i + 1) * n / frames;
            let count = seen.len() as f32;
            let mean = |band| seen.clone().map(|f| frame(f)[band]).sum::<f32>() / count;
            image.extend((0..N_MELS).map(mean));
        } else {
            let at = i as f32 * (n - 1) as f32 / (frames - 1) as f32;
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

    const FRAMES: usize = 128;

    /// A spectrogram whose frame i holds the value i.
    fn ramp(n_frames: usize) -> Mel {
        let cells: Vec<f32> = (0..n_frames).flat_map(|i| [i as f32; N_MELS]).collect();
        Mel::encode(&cells, MelStorage::F32)
    }

    fn framing(how: Image) -> Framing {
        Framing { how, frames: FRAMES, windows: 4 }
    }

    /// An image that is scaled by nothing.
    fn image(mel: &Mel, how: Image, rng: Option<&mut Rng>) -> Vec<f32> {
        let scaler = Scaler { mel_min_db: -1.0, ..Scaler::default() };
        let mut image = vec![f32::NAN; framing(how).cells()];
        fill(&mut image, mel.view(), framing(how).start(mel.n_frames, rng), &scaler);
        image.iter().map(|x| x - 1.0).collect()
    }

    fn frames(mel: &Mel, how: Image, rng: Option<&mut Rng>) -> Vec<f32> {
        image(mel, how, rng).iter().copied().step_by(N_MELS).collect()
    }

    #[test]
    fn the_first_frames_are_padded_with_silence() {
        let frames = frames(&ramp(3), Image::First, None);
        assert_eq!(frames[..5], [0.0, 1.0, 2.0, -1.0, -1.0]);
        assert_eq!(framing(Image::First).valid(3, Some(0)), 3);
        assert_eq!(framing(Image::First).valid(300, Some(0)), 128);
        assert_eq!(framing(Image::Resize).valid(3, None), 128);
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
    fn windows_are_spread_over_the_recording() {
        let starts = |n_frames| framing(Image::RandomCrop).starts(n_frames);
        assert_eq!(starts(0), [Some(0)]);
        assert_eq!(starts(128), [Some(0)]);
        assert_eq!(starts(130), [Some(0), Some(2)]);
        assert_eq!(starts(384), [Some(0), Some(128), Some(256)]);
        assert_eq!(starts(1000), [Some(0), Some(290), Some(581), Some(872)]);
        assert_eq!(framing(Image::First).starts(1000), [Some(0)]);
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
                prop_assert_eq!(image.len(), FRAMES * N_MELS);
                prop_assert!(image.iter().all(|x| x.is_finite()));
            }
        }
    }
}
