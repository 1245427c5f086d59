//! Made-up speakers whose voices tell their age: material for demonstrations and tests.
//!
//! A source-filter synthesiser: glottal pulses with jitter and shimmer and breath noise go
//! through the resonances of a vocal tract, syllable by syllable, with pauses between
//! phrases. With age women's pitch falls and men's rises again, periods waver more, breath
//! and pauses grow, speech slows down and resonances sink a little; individuals differ.
//!
//! Always holds: the same arguments give the same samples; there is no clock and no other
//! source of randomness than the seed.
//! It does not know about files or data sets.

mod random;
mod tract;

use voxage_contract::Gender;

use random::Random;
use tract::{Resonance, Tract};

/// A made-up speaker.
#[derive(Debug, Clone)]
pub struct Speaker {
    seed: u64,
    pitch_hz: f64,
    /// Mean relative deviation of a period and of its amplitude.
    jitter: f64,
    shimmer: f64,
    /// Amplitude of breath noise relative to the pulses.
    breath: f64,
    syllables_per_s: f64,
    pause_s: f64,
    /// Factor on all resonances: short tracts have high ones.
    formant_scale: f64,
}

/// Resonances of the vowels, in Hz, of an adult man (after Peterson and Barney, 1952).
const VOWELS: [[f64; 3]; 6] = [
    [270.0, 2290.0, 3010.0],
    [530.0, 1840.0, 2480.0],
    [660.0, 1720.0, 2410.0],
    [730.0, 1090.0, 2440.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
];

impl Speaker {
    /// The speaker of a seed, aged 18 to 80 years (others are taken as the nearest); a
    /// gender that is not given is drawn.
    #[must_use]
    pub fn new(seed: u64, age_years: f64, gender: Gender) -> Self {
        let mut random = Random::new(seed);
        let drawn_female = random.uniform() < 0.5;
        let female = match gender {
            Gender::Female => true,
            Gender::Male => false,
            Gender::Unspecified => drawn_female,
        };
        let age = age_years.clamp(18.0, 80.0);
        // 0 at 18 years, 1 at 80.
        let aged = (age - 18.0) / 62.0;
        let pitch_hz =
            if female { 225.0 - 50.0 * aged } else { 118.0 - 40.0 * aged + 55.0 * aged * aged };
        let mut vary = |spread: f64| (spread * random.normal()).exp();
        Self {
            seed,
            pitch_hz: pitch_hz * vary(0.07),
            jitter: (0.004 + 0.014 * aged) * vary(0.15),
            shimmer: (0.03 + 0.08 * aged) * vary(0.15),
            breath: (0.02 + 0.14 * aged) * vary(0.2),
            syllables_per_s: (5.2 - 1.6 * aged) * vary(0.05),
            pause_s: (0.25 + 0.4 * aged) * vary(0.1),
            formant_scale: if female { 1.17 } else { 1.0 } * (1.0 - 0.04 * aged) * vary(0.02),
        }
    }

    /// An utterance of `seconds` at `rate_hz`, at most half of full scale; another `take`
    /// is another utterance.
    #[must_use]
    pub fn utter(&self, take: u64, seconds: f64, rate_hz: u32) -> Vec<f32> {
        let mut random = Random::new(self.seed ^ (take + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let rate = f64::from(rate_hz);
        let n = (seconds * rate).round() as usize;
        let mut voice = Voice::new(self, rate);
        let mut samples = Vec::with_capacity(n);
        while samples.len() < n {
            let n_syllables = 3 + (random.uniform() * 6.0) as usize;
            for i in 0..n_syllables {
                // Pitch falls over a phrase.
                let phrase = 1.06 - 0.16 * i as f64 / n_syllables as f64;
                voice.syllable(&mut random, phrase, &mut samples);
            }
            voice.pause(&mut random, &mut samples);
        }
        samples.truncate(n);
        let peak = samples.iter().fold(1e-9f64, |peak, x| peak.max(x.abs()));
        samples.iter().map(|x| (0.5 * x / peak) as f32).collect()
    }
}

/// A speaker's voice while it speaks.
struct Voice<'a> {
    speaker: &'a Speaker,
    rate: f64,
    tract: Tract,
    /// Part of the current period that has passed, and that period's length and amplitude.
    phase: f64,
    period_s: f64,
    amplitude: f64,
}

impl<'a> Voice<'a> {
    fn new(speaker: &'a Speaker, rate: f64) -> Self {
        let period_s = 1.0 / speaker.pitch_hz;
        Self { speaker, rate, tract: Tract::new(rate), phase: 0.0, period_s, amplitude: 1.0 }
    }

    /// A consonant of noise and a vowel.
    fn syllable(&mut self, random: &mut Random, phrase: f64, out: &mut Vec<f64>) {
        let speaker = self.speaker;
        let length_s = (0.15 * random.normal()).exp() / speaker.syllables_per_s;
        let vowel = VOWELS[(random.uniform() * VOWELS.len() as f64) as usize];
        let stress = 0.6 + 0.4 * random.uniform();
        let pitch_hz = speaker.pitch_hz * phrase * (0.04 * random.normal()).exp();
        let consonant = 0.08 + 0.12 * random.uniform();
        let formants = [vowel[0], vowel[1], vowel[2], 3500.0, 4500.0];
        let widths_hz = [80.0, 100.0, 120.0, 180.0, 250.0];
        let resonances: [_; 5] = std::array::from_fn(|i| Resonance {
            hz: formants[i] * speaker.formant_scale,
            width_hz: widths_hz[i],
        });
        let n = (length_s * self.rate) as usize;
        for i in 0..n {
            let part = i as f64 / n as f64;
            let hiss = if part < 0.25 { consonant * bump(part / 0.25) } else { 0.0 };
            let voicing = stress * bump((part - 0.1) / 0.9);
            let noise = random.normal();
            let source = voicing * (self.pulse(random, pitch_hz) + speaker.breath * noise);
            let sound = self.tract.filter(source, &resonances) + 0.3 * hiss * noise;
            out.push(sound + ROOM * random.normal());
        }
    }

    fn pause(&mut self, random: &mut Random, out: &mut Vec<f64>) {
        let length_s = self.speaker.pause_s * (0.3 * random.normal()).exp();
        let n = (length_s * self.rate) as usize;
        out.extend((0..n).map(|_| ROOM * random.normal()));
    }

    /// The next sample of the glottal flow's derivative (after Rosenberg, 1971).
    fn pulse(&mut self, random: &mut Random, pitch_hz: f64) -> f64 {
        self.phase += 1.0 / (self.rate * self.period_s);
        if self.phase >= 1.0 {
            self.phase -= self.phase.floor();
            self.period_s = (1.0 + self.speaker.jitter * random.normal()) / pitch_hz;
            self.amplitude = 1.0 + self.speaker.shimmer * random.normal();
        }
        // Opening for two fifths of the period, closing for one sixth.
        const OPENING: f64 = 0.4;
        const CLOSING: f64 = 0.16;
        let flow = if self.phase < OPENING {
            (std::f64::consts::PI * self.phase / OPENING).sin() * 0.4
        } else if self.phase < OPENING + CLOSING {
            -(0.5 * std::f64::consts::PI * (self.phase - OPENING) / CLOSING).sin()
        } else {
            0.0
        };
        self.amplitude * flow
    }
}

/// Amplitude of the room's noise.
const ROOM: f64 = 0.0005;

/// Rises from 0 to 1 and falls to 0 over 0 to 1; 0 elsewhere.
fn bump(x: f64) -> f64 {
    if (0.0..1.0).contains(&x) { (std::f64::consts::PI * x).sin().powf(0.7) } else { 0.0 }
}

/// A mono WAV of 16-bit PCM.
#[must_use]
pub fn wav_bytes(samples: &[f32], rate_hz: u32) -> Vec<u8> {
    let n_bytes = 2 * samples.len() as u32;
    let mut bytes = Vec::with_capacity(44 + n_bytes as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1u16, 1].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend([rate_hz, 2 * rate_hz].into_iter().flat_map(u32::to_le_bytes));
    bytes.extend([2u16, 16].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend(b"data");
    bytes.extend(n_bytes.to_le_bytes());
    let quantised = samples.iter().map(|x| (x.clamp(-1.0, 1.0) * 32_767.0).round() as i16);
    bytes.extend(quantised.flat_map(i16::to_le_bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_utterance_follows_from_its_arguments() {
        let speaker = |seed| Speaker::new(seed, 40.0, Gender::Female);
        let first = speaker(1).utter(0, 0.5, 16_000);
        assert_eq!(first.len(), 8000);
        assert_eq!(first, speaker(1).utter(0, 0.5, 16_000));
        assert_ne!(first, speaker(1).utter(1, 0.5, 16_000));
        assert_ne!(first, speaker(2).utter(0, 0.5, 16_000));
        assert!(first.iter().all(|x| x.abs() <= 0.5));
    }

    #[test]
    fn age_is_in_the_voice() {
        let mean = |age: f64, of: fn(&Speaker) -> f64| {
            let voices = (0..50).map(|seed| Speaker::new(seed, age, Gender::Female));
            voices.map(|speaker| of(&speaker)).sum::<f64>() / 50.0
        };
        assert!(mean(75.0, |s| s.pitch_hz) < mean(20.0, |s| s.pitch_hz) - 20.0);
        assert!(mean(75.0, |s| s.jitter) > 1.5 * mean(20.0, |s| s.jitter));
        assert!(mean(75.0, |s| s.syllables_per_s) < mean(20.0, |s| s.syllables_per_s));
    }
}
