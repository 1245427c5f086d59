//! The columns that Praat defines: jitter, shimmer and harmonics-to-noise ratio, measured
//! on the recording's own rate and channels.
//!
//! Always holds: nothing here is taken from Praat; the definitions are those of its manual
//! and of Boersma (1993), checked against what Praat answers.

mod candidates;
mod correlate;
mod harmonicity;
mod kernels;
mod perturbation;
mod pitch;
mod pulses;
mod sinc;
mod sound;
mod walk;

use harmonicity::{Harmonicity, UNVOICED_DB};
use pitch::PitchTracker;
use pulses::Pulses;
use sound::{Clock, History};

pub(crate) use pitch::Pitch;

/// A plan to measure voices at one sample rate.
pub(crate) struct Praat {
    tracker: Option<PitchTracker>,
    harmonicity: Option<Harmonicity>,
}

/// What is to be measured: all samples of all channels, as far as Praat takes them for the
/// recording.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rate_hz: u32,
    pub(crate) n_samples: usize,
    /// Greatest distance of a sample from its channel's mean.
    pub(crate) peak_around_mean: f64,
    /// Greatest magnitude of a sample.
    pub(crate) peak: f64,
}

/// Which tracks are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) pitch: bool,
    pub(crate) harmonicity: bool,
}

/// Pitch and harmonicity of a recording whose samples come in blocks.
pub(crate) struct Tracks<'a> {
    clock: Clock,
    history: History,
    pitch: Option<(&'a mut PitchTracker, pitch::Lattice)>,
    harmonicity: Option<(&'a mut Harmonicity, harmonicity::Track)>,
}

impl Praat {
    pub(crate) fn new(rate_hz: u32) -> Self {
        let rate = f64::from(rate_hz);
        Self { tracker: PitchTracker::new(rate), harmonicity: Harmonicity::new(rate) }
    }

    /// Tracks to be fed with a recording.
    pub(crate) fn tracks(&mut self, extent: Extent, wanted: Wanted) -> Tracks<'_> {
        let clock = Clock::new(extent.rate_hz, extent.n_samples);
        let pitch = self.tracker.as_mut().filter(|_| wanted.pitch);
        let harmonicity = self.harmonicity.as_mut().filter(|_| wanted.harmonicity);
        let peak = extent.peak_around_mean;
        Tracks {
            clock,
            history: History::default(),
            pitch: pitch.map(|plan| {
                let lattice = plan.start(clock, peak);
                (plan, lattice)
            }),
            harmonicity: harmonicity.map(|plan| {
                let track = plan.start(clock, peak);
                (plan, track)
            }),
        }
    }
}

impl Tracks<'_> {
    /// Takes the next samples of every channel.
    pub(crate) fn push(&mut self, channels: &[&[f32]]) {
        self.history.push(channels);
        let (clock, end) = (self.clock, self.history.end());
        let sound = self.history.sound(clock);
        let mut needed = end;
        if let Some((plan, lattice)) = &mut self.pitch {
            plan.advance(lattice, (sound, end));
            needed = needed.min(plan.needs(lattice, clock));
        }
        if let Some((plan, track)) = &mut self.harmonicity {
            plan.advance(track, (sound, end));
            needed = needed.min(plan.needs(track, clock));
        }
        self.history.forget(needed);
    }

    /// The pitch, and the harmonics-to-noise ratio of each frame in dB, once all samples
    /// are in; none if the sound is shorter than a window, or if it was not wanted.
    pub(crate) fn finish(self) -> (Option<Pitch>, Option<Vec<f64>>) {
        let pitch = self.pitch.and_then(|(_, lattice)| lattice.finish());
        let harmonicity = self.harmonicity.map(|(_, track)| track.db);
        (pitch, harmonicity.filter(|db| !db.is_empty()))
    }
}

/// Whether the harmonicity of a frame is that of a voice.
pub(crate) fn is_voiced(db: f64) -> bool {
    db > UNVOICED_DB
}

/// The pulses of a recording of known pitch, whose samples come in blocks once more.
pub(crate) struct PulseSearch<'a> {
    clock: Clock,
    history: History,
    pulses: Pulses<'a>,
}

impl<'a> PulseSearch<'a> {
    pub(crate) fn new(pitch: &'a Pitch, extent: Extent) -> Self {
        let clock = Clock::new(extent.rate_hz, extent.n_samples);
        let pulses = Pulses::new(pitch, clock, extent.peak);
        Self { clock, history: History::default(), pulses }
    }

    /// Takes the next samples of every channel.
    pub(crate) fn push(&mut self, channels: &[&[f32]]) {
        self.history.push(channels);
        let end = self.history.end();
        self.pulses.advance((self.history.sound(self.clock), end));
        self.history.forget(self.pulses.needs());
    }

    /// Jitter and shimmer, where there is enough voice to tell.
    pub(crate) fn finish(self) -> [Option<f64>; 2] {
        let jitter = perturbation::jitter(&self.pulses.times);
        [jitter, perturbation::shimmer(&self.pulses.amplitudes)]
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

    fn extent(samples: &[f32]) -> Extent {
        let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / samples.len() as f64;
        let peak = |mean: f64| {
            samples.iter().fold(0.0f64, |peak, &x| peak.max((f64::from(x) - mean).abs()))
        };
        let (peak_around_mean, peak) = (peak(mean), peak(0.0));
        Extent { rate_hz: RATE_HZ, n_samples: samples.len(), peak_around_mean, peak }
    }

    fn track(samples: &[f32], block: usize) -> (Option<Pitch>, Option<Vec<f64>>) {
        let mut praat = Praat::new(RATE_HZ);
        let mut tracks = praat.tracks(extent(samples), Wanted { pitch: true, harmonicity: true });
        samples.chunks(block).for_each(|block| tracks.push(&[block]));
        tracks.finish()
    }

    /// Times of the pulses, jitter and shimmer.
    fn search(samples: &[f32], block: usize) -> (Vec<f64>, [Option<f64>; 2]) {
        let pitch = track(samples, block).0.unwrap();
        let mut search = PulseSearch::new(&pitch, extent(samples));
        samples.chunks(block).for_each(|block| search.push(&[block]));
        (search.pulses.times.clone(), search.finish())
    }

    #[test]
    fn blocks_do_not_matter() {
        let mut samples = wavering(0.01, 0.05);
        // Two voiced stretches.
        samples[30_000..36_000].fill(0.0);
        let whole = (track(&samples, usize::MAX), search(&samples, usize::MAX));
        for block in [1000, 4097] {
            let (pitch, db) = track(&samples, block);
            let (pitch, whole_pitch) = (pitch.unwrap(), whole.0.0.as_ref().unwrap());
            assert_eq!((&pitch.hz, &db), (&whole_pitch.hz, &whole.0.1));
            assert_eq!(search(&samples, block), whole.1);
        }
    }

    #[test]
    fn the_pitch_of_a_pulse_train_is_its_rate() {
        let samples = wavering(0.0, 0.0);
        let pitch = track(&samples, 4000).0.unwrap();
        for tenth in 1..19 {
            let hz = pitch.at(f64::from(tenth) / 10.0).unwrap();
            assert!((hz - 125.0).abs() < 0.01, "{hz}");
        }
        let (pulses, _) = search(&samples, 4000);
        assert!((240..=250).contains(&pulses.len()), "{}", pulses.len());
        assert!(pulses.windows(2).all(|t| (t[1] - t[0] - 0.008).abs() < 1e-5));
    }

    #[test]
    fn perturbation_is_what_was_put_in() {
        let measure = |samples: Vec<f32>| search(&samples, 4000).1;
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
        let db = track(&samples, 4000).1.unwrap();
        assert!(db.iter().all(|&db| is_voiced(db)));
        let mean_db = db.iter().sum::<f64>() / db.len() as f64;
        assert!((mean_db - 13.0).abs() < 1.0, "{mean_db}");
        assert!(matches!(track(&samples[..500], 4000), (None, None)));
    }
}
