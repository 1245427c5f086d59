//! The columns that Praat defines: jitter, shimmer and harmonics-to-noise ratio, measured
//! on the recording's own rate and channels.
//!
//! Always holds: nothing here is taken from Praat; the definitions are those of its manual
//! and of Boersma (1993), checked against what Praat answers.

mod candidates;
mod correlate;
mod harmonicity;
mod perturbation;
mod pitch;
mod pulses;
mod sinc;
mod sound;

use harmonicity::Harmonicity;
use pitch::PitchTracker;
use sound::Sound;

/// A plan to measure voices at one sample rate.
pub(crate) struct Praat {
    rate_hz: u32,
    tracker: Option<PitchTracker>,
    harmonicity: Option<Harmonicity>,
}

impl Praat {
    pub(crate) fn new(rate_hz: u32) -> Self {
        let rate = f64::from(rate_hz);
        Self { rate_hz, tracker: PitchTracker::new(rate), harmonicity: Harmonicity::new(rate) }
    }

    /// Jitter and shimmer, where there is enough voice to tell.
    pub(crate) fn perturbation(&mut self, channels: &[&[f32]]) -> [Option<f64>; 2] {
        let sound = Sound::new(channels, self.rate_hz);
        let Some(pitch) = self.tracker.as_mut().and_then(|tracker| tracker.track(sound)) else {
            return [None, None];
        };
        let pulses = pulses::pulses(sound, &pitch);
        [perturbation::jitter(&pulses), perturbation::shimmer(sound, &pulses)]
    }

    /// Mean harmonics-to-noise ratio in dB; none if the sound is shorter than a window.
    pub(crate) fn harmonicity_db(&mut self, channels: &[&[f32]]) -> Option<f64> {
        self.harmonicity.as_mut()?.mean_db(Sound::new(channels, self.rate_hz))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: u32 = 32_000;

    /// Decaying pulses at the given times, with the given amplitudes.
    fn pulse_train(pulses: &[(f64, f64)]) -> Vec<f32> {
        let n = (pulses[pulses.len() - 1].0 * f64::from(RATE_HZ)) as usize;
        let mut samples = vec![0.0f32; n];
        for &(time, amplitude) in pulses {
            for (i, x) in samples.iter_mut().enumerate().skip((time * f64::from(RATE_HZ)) as usize)
            {
                let t = i as f64 / f64::from(RATE_HZ) - time;
                if (0.0..0.01).contains(&t) {
                    let ring = (std::f64::consts::TAU * 700.0 * t).sin() * (-t * 900.0).exp();
                    *x += (amplitude * ring) as f32;
                }
            }
        }
        samples
    }

    /// Two seconds at 125 Hz whose periods and amplitudes swing by these parts of theirs.
    fn wavering(jitter: f64, shimmer: f64) -> Vec<f32> {
        let mut time = 0.0;
        let pulses = (0..250).map(|i| {
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            time += 0.008 * (1.0 + jitter * sign);
            (time, 0.5 * (1.0 + shimmer * sign))
        });
        pulse_train(&pulses.collect::<Vec<_>>())
    }

    #[test]
    fn the_pitch_of_a_pulse_train_is_its_rate() {
        let samples = wavering(0.0, 0.0);
        let channels = [samples.as_slice()];
        let sound = Sound::new(&channels, RATE_HZ);
        let pitch = PitchTracker::new(f64::from(RATE_HZ)).unwrap().track(sound).unwrap();
        for tenth in 1..19 {
            let hz = pitch.at(f64::from(tenth) / 10.0).unwrap();
            assert!((hz - 125.0).abs() < 0.01, "{hz}");
        }
        let pulses = pulses::pulses(sound, &pitch);
        assert!((240..=250).contains(&pulses.len()), "{}", pulses.len());
        assert!(pulses.windows(2).all(|t| (t[1] - t[0] - 0.008).abs() < 1e-5));
    }

    #[test]
    fn perturbation_is_what_was_put_in() {
        let measure = |samples: Vec<f32>| Praat::new(RATE_HZ).perturbation(&[&samples]);
        let [jitter, shimmer] = measure(wavering(0.0, 0.0)).map(Option::unwrap);
        assert!(jitter < 1e-4 && shimmer < 1e-3, "{jitter} {shimmer}");
        // Neighbours differ by twice the swing.
        let [jitter, _] = measure(wavering(0.01, 0.0)).map(Option::unwrap);
        assert!((jitter - 0.02).abs() < 0.001, "{jitter}");
        let [_, shimmer] = measure(wavering(0.0, 0.05)).map(Option::unwrap);
        assert!((shimmer - 0.1).abs() < 0.01, "{shimmer}");
    }

    #[test]
    fn harmonicity_is_the_ratio_that_was_mixed() {
        // A tone and noise of a twentieth of its power: 13 dB.
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        let samples: Vec<f32> = (0..2 * RATE_HZ)
            .map(|i| {
                let tone =
                    (std::f64::consts::TAU * 200.0 * f64::from(i) / f64::from(RATE_HZ)).sin();
                (0.5 * tone + 0.5 * (12.0f64 / 40.0).sqrt() * noise()) as f32
            })
            .collect();
        let db = Praat::new(RATE_HZ).harmonicity_db(&[&samples]).unwrap();
        assert!((db - 13.0).abs() < 1.0, "{db}");
        assert_eq!(Praat::new(RATE_HZ).harmonicity_db(&[&samples[..500]]), None);
    }
}
