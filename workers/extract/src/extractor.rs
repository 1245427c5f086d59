//! From the bytes of a recording to its features.
//!
//! Always holds: plans and scratch live as long as the extractor, so a recording costs
//! what it is long; the same bytes under the same spec give the same features.
//! It does not know where recordings come from or where features go.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ};
use voxage_contract::{FeatureSpec, Features, Mel, Mono, N_MELS, Reject, Warning};

use crate::columns::Columns;
use crate::decode::{Decoded, decode};
use crate::level::level;
use crate::mel::{self, MelBank};
use crate::praat::Praat;
use crate::resample::Resampler;
use crate::spectral::Spectral;
use crate::spectrum::{Stft, n_frames};
use crate::speech;
use crate::tempo::Tempo;

/// Sample rates whose plans are kept.
const MOST_RATES: usize = 8;

/// Extracts the features of one spec; one a thread.
pub struct Extractor {
    spec: FeatureSpec,
    stft: Stft,
    mel_bank: MelBank,
    tempo: Tempo,
    rates: Rates,
}

impl Extractor {
    /// Plans the extraction of `spec`.
    #[must_use]
    pub fn new(spec: &FeatureSpec) -> Self {
        Self {
            spec: spec.clone(),
            stft: Stft::new(),
            mel_bank: MelBank::new(),
            tempo: Tempo::new(),
            rates: Rates::default(),
        }
    }

    /// The features of one recording. Columns in `given` are put in as they are and not
    /// computed.
    ///
    /// # Errors
    /// A reject of stage `fetch` if the bytes cannot be read, of stage `decode` if they
    /// are no audio that can be used.
    pub fn extract<R>(
        &mut self,
        audio: R,
        given: &BTreeMap<String, f64>,
    ) -> Result<Features, Reject>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
        let Decoded { info, channels, recording, praat, mut warnings } = decode(audio)?;
        let mut columns = Columns::new(&self.spec, given);
        let plan = self.rates.plan(info.sample_rate_hz);
        plan.voice(&parts(&channels, praat), &mut columns);
        let samples = plan.resample(mono(channels, recording, self.spec.mono));
        waveform(&samples, &mut columns);
        let (mut db, max_db) = self.spectrogram(&samples, &mut columns);
        if samples.len() < N_FFT {
            warnings.push(Warning::TooShort);
        }
        if speech::is_absent(&samples, &db, max_db) {
            warnings.push(Warning::NoSpeech);
        }
        mel::refer(&mut db, max_db, self.spec.mel.reference);
        let mel = Mel::encode(&db, self.spec.mel.storage);
        Ok(Features { audio: info, mel, tabular: columns.into_values(), warnings })
    }

    /// The mel spectrogram in dB re 1 with its maximum, and the columns that are made of
    /// the same frames.
    fn spectrogram(&mut self, samples: &[f32], columns: &mut Columns) -> (Vec<f32>, f32) {
        let n_frames = n_frames(samples.len());
        let mut db = Vec::with_capacity(n_frames * N_MELS);
        let peaks = ["mean_pitch", "max_pitch", "min_pitch"];
        let wants_spectral = columns.want(&peaks) || columns.want(&["spectral_centroid_mean"]);
        let mut spectral = Spectral::default();
        for i in 0..n_frames {
            let frame = self.stft.frame(samples, i);
            self.mel_bank.push(frame, &mut db);
            if wants_spectral {
                spectral.push(frame);
            }
        }
        let max_db = mel::clip(&mut db);
        for (name, hz) in peaks.into_iter().zip(spectral.peaks_hz()) {
            columns.set(name, hz);
        }
        columns.set("spectral_centroid_mean", spectral.centroid_hz());
        if columns.want(&["tempo"]) {
            columns.set("tempo", self.tempo.estimate(&db));
        }
        (db, max_db)
    }
}

/// The columns of the waveform.
fn waveform(samples: &[f32], columns: &mut Columns) {
    if columns.want(&["energy", "zcr_mean", "num_pauses", "silence_duration"]) {
        let level = level(samples);
        columns.set("energy", level.energy);
        columns.set("zcr_mean", level.zero_crossing_rate);
        columns.set("num_pauses", level.n_intervals as f64);
        columns.set("silence_duration", level.sound_s);
    }
}

/// The same part of every channel.
fn parts(channels: &[Vec<f32>], part: Range<usize>) -> Vec<&[f32]> {
    channels.iter().map(|channel| channel.get(part.clone()).unwrap_or(&[])).collect()
}

/// One channel out of all, of the same part of every one.
fn mono(mut channels: Vec<Vec<f32>>, part: Range<usize>, mono: Mono) -> Vec<f32> {
    match mono {
        Mono::Mean => {
            let n = channels.len() as f32;
            let mut mean = channels.swap_remove(0);
            mean.truncate(part.end);
            mean.drain(..part.start);
            for channel in channels {
                for (sum, x) in mean.iter_mut().zip(&channel[part.clone()]) {
                    *sum += x;
                }
            }
            if n > 1.0 {
                mean.iter_mut().for_each(|x| *x /= n);
            }
            mean
        }
    }
}

/// The plans of the sample rates met so far.
#[derive(Default)]
struct Rates(BTreeMap<u32, RatePlan>);

impl Rates {
    fn plan(&mut self, rate_hz: u32) -> &mut RatePlan {
        if self.0.len() >= MOST_RATES && !self.0.contains_key(&rate_hz) {
            self.0.clear();
        }
        self.0.entry(rate_hz).or_insert_with(|| RatePlan {
            resampler: (rate_hz != SAMPLE_RATE_HZ).then(|| Resampler::new(rate_hz)),
            praat: Praat::new(rate_hz),
        })
    }
}

/// What depends on the native sample rate.
struct RatePlan {
    /// None at the rate of the features.
    resampler: Option<Resampler>,
    praat: Praat,
}

impl RatePlan {
    /// The columns that are measured before channels are mixed and rates changed.
    fn voice(&mut self, channels: &[&[f32]], columns: &mut Columns) {
        if columns.want(&["jitter", "shimmer"]) {
            let [jitter, shimmer] = self.praat.perturbation(channels);
            columns.set("jitter", jitter);
            columns.set("shimmer", shimmer);
        }
        if columns.want(&["hnr"]) {
            columns.set("hnr", self.praat.harmonicity_db(channels));
        }
    }

    fn resample(&mut self, samples: Vec<f32>) -> Vec<f32> {
        match &mut self.resampler {
            Some(resampler) => resampler.run(&samples),
            None => samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extractor_can_be_sent_to_a_thread() {
        fn is_send<T: Send>() {}
        is_send::<Extractor>();
    }

    #[test]
    fn the_mean_is_of_the_recording_alone() {
        let channels = vec![vec![9.0, 0.25, 0.5, 9.0], vec![9.0, 0.75, -0.5, 9.0]];
        assert_eq!(mono(channels, 1..3, Mono::Mean), [0.5, 0.0]);
        assert_eq!(mono(vec![vec![0.1, 0.2]], 0..2, Mono::Mean), [0.1, 0.2]);
    }
}
