//! How the channels of a recording become one.
//!
//! Always holds: what was done has a name, which goes into the row.

use std::fmt;

use voxage_contract::Mono;

use crate::decode::{Heard, Survey};

/// A channel with less than this part of the loudest one's energy carries nothing: -20 dB.
/// An unplugged input was seen 30 dB down.
const UNPLUGGED: f64 = 0.01;

/// Two channels whose difference has this many times the energy of their sum are of
/// opposite phase: 6 dB.
const OPPOSITE: f64 = 4.0;

/// Where the voice is in surround sound (WAVE, FLAC and AAC order): the centre.
const CENTRE: usize = 2;

/// One channel out of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// There is but one.
    Only,
    /// The mean of all.
    Mean,
    /// One of them.
    Channel(usize),
    /// Half the difference of two.
    Difference,
}

impl Mix {
    /// What a recording asks for.
    pub(crate) fn choose(mono: Mono, survey: &Survey) -> Self {
        let n_channels = survey.channels.len();
        match (mono, n_channels) {
            (_, 1) => Self::Only,
            (Mono::Mean, _) => Self::Mean,
            (Mono::Left, _) => Self::Channel(0),
            (Mono::Right, _) => Self::Channel(1),
            (Mono::Auto, _) => Self::listen(survey),
        }
    }

    fn listen(survey: &Survey) -> Self {
        let energies: Vec<f64> = survey.channels.iter().map(Heard::energy).collect();
        // The first of equals.
        let loudest =
            (0..energies.len()).rev().max_by(|&a, &b| energies[a].total_cmp(&energies[b]));
        let loudest = loudest.unwrap_or(0);
        let is_plugged = |i: usize| energies[i] >= UNPLUGGED * energies[loudest];
        match survey.both {
            None if energies.len() > CENTRE && is_plugged(CENTRE) => Self::Channel(CENTRE),
            None => Self::Channel(loudest),
            Some(_) if !is_plugged(1 - loudest) => Self::Channel(loudest),
            Some([sum, difference]) if difference.energy() > OPPOSITE * sum.energy() => {
                Self::Difference
            }
            Some(_) => Self::Mean,
        }
    }

    /// The mixed samples; `scratch` holds them where there are more channels than one.
    pub(crate) fn apply<'a>(self, channels: &[&'a [f32]], scratch: &'a mut Vec<f32>) -> &'a [f32] {
        let gain = match self {
            Self::Only => return channels[0],
            Self::Channel(i) => return channels[i],
            Self::Mean => 1.0,
            Self::Difference => -1.0,
        };
        let n = channels.len() as f32;
        scratch.clear();
        scratch.extend_from_slice(channels[0]);
        for channel in &channels[1..] {
            for (sum, x) in scratch.iter_mut().zip(*channel) {
                *sum += gain * x;
            }
        }
        scratch.iter_mut().for_each(|x| *x /= n);
        scratch
    }

    /// Peak amplitude of the mixed samples around zero and around their mean.
    pub(crate) fn peaks(self, survey: &Survey) -> (f64, f64) {
        let heard = match (self, survey.both) {
            (Self::Only, _) => survey.channels[0],
            (Self::Channel(i), _) => survey.channels[i],
            (Self::Mean, Some([sum, _])) => sum,
            (Self::Difference, Some([_, difference])) => difference,
            // A mean is heard through all of its channels.
            (Self::Mean | Self::Difference, None) => {
                let peaks = survey.channels.iter().map(|c| (c.peak(), c.peak_around_mean()));
                return peaks.fold((0.0, 0.0), |(a, b), (x, y)| (x.max(a), y.max(b)));
            }
        };
        (heard.peak(), heard.peak_around_mean())
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("mono"),
            Self::Mean => f.write_str("mean"),
            Self::Channel(0) => f.write_str("left"),
            Self::Channel(1) => f.write_str("right"),
            Self::Channel(i) => write!(f, "channel {}", i + 1),
            Self::Difference => f.write_str("left-right"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use voxage_contract::Limits;

    use super::*;
    use crate::decode::Recording;

    /// What becomes of a sine in each channel with these gains.
    fn mix(mono: Mono, gains: &[f32]) -> (String, f32) {
        let samples = (0..4000).flat_map(|i| gains.iter().map(move |g| g * (i as f32 * 0.1).sin()));
        let n = gains.len() as u8;
        let mut wav = crate::synth::wav_bytes(&samples.collect::<Vec<_>>(), 8000);
        // Channels, and bytes of a frame.
        (wav[22], wav[32]) = (n, 2 * n);
        let both = mono == Mono::Auto;
        let recording = Recording::open(Cursor::new(wav), &Limits::default(), both).unwrap();
        let mix = Mix::choose(mono, &recording.survey);
        let mut peak = 0.0f32;
        let listened = recording.play(|_, channels| {
            let mut scratch = Vec::new();
            peak = mix.apply(channels, &mut scratch).iter().fold(peak, |p, x| p.max(x.abs()));
        });
        listened.unwrap();
        if mono != Mono::Mean {
            assert!((mix.peaks(&recording.survey).0 - f64::from(peak)).abs() < 1e-6);
        }
        (mix.to_string(), (peak * 100.0).round() / 100.0)
    }

    #[test]
    fn auto_listens_where_the_voice_is() {
        for (gains, expected) in [
            (vec![0.5], ("mono", 0.5)),
            (vec![0.5, 0.3], ("mean", 0.4)),
            (vec![0.5, 0.01], ("left", 0.5)),
            (vec![0.0, 0.5], ("right", 0.5)),
            (vec![0.5, -0.5], ("left-right", 0.5)),
            (vec![0.0, 0.0], ("mean", 0.0)),
            (vec![0.2, 0.2, 0.5, 0.1, 0.0, 0.0], ("channel 3", 0.5)),
            (vec![0.4, 0.2, 0.0, 0.1, 0.0, 0.0], ("left", 0.4)),
            (vec![0.1, 0.2, 0.01], ("right", 0.2)),
        ] {
            assert_eq!(mix(Mono::Auto, &gains), (expected.0.to_owned(), expected.1), "{gains:?}");
        }
    }

    #[test]
    fn others_do_as_they_are_told() {
        let told = |mono| mix(mono, &[0.5, -0.25]);
        assert_eq!(told(Mono::Mean), ("mean".to_owned(), 0.13));
        assert_eq!(told(Mono::Left), ("left".to_owned(), 0.5));
        assert_eq!(told(Mono::Right), ("right".to_owned(), 0.25));
        assert_eq!(mix(Mono::Right, &[0.5]), ("mono".to_owned(), 0.5));
    }
}
