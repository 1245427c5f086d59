//! From the bytes of a recording to its features.
//!
//! A recording is surveyed once, then played: the first time spectra, levels and tracks are
//! taken, the second time what needs the tracks (pulses, the embedding).
//!
//! Always holds: plans and scratch live as long as the extractor, so a recording costs
//! what it is long; the same bytes under the same spec give the same features.
//! It does not know where recordings come from or where features go.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

use voxage_contract::columns::TabularSet;
use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ};
use voxage_contract::{Embedding, FeatureSpec, Features, Mel, Mono, N_MELS, Reject, Warning};

use crate::clean;
use crate::columns::Columns;
use crate::decode::{Recording, within};
use crate::embedding::{self, Encoder, Speech, Weights, WeightsError};
use crate::level::{Level, Meter};
use crate::mel::{self, MelBank};
use crate::mix::Mix;
use crate::praat::{Extent, Pitch, Praat, PulseSearch, Wanted};
use crate::resample::Resampler;
use crate::spectral::Spectral;
use crate::spectrum::Stft;
use crate::speech;
use crate::tempo::Tempo;

/// Sample rates whose plans are kept.
const MOST_RATES: usize = 8;

const PEAKS: [&str; 3] = ["mean_pitch", "max_pitch", "min_pitch"];
const PERTURBATION: [&str; 4] = ["jitter", "shimmer", "jitter_local", "shimmer_local"];

/// Extracts the features of one spec; one a thread.
pub struct Extractor {
    spec: FeatureSpec,
    stft: Stft,
    mel_bank: MelBank,
    tempo: Tempo,
    encoder: Option<Encoder>,
    rates: Rates,
}

/// What is taken when a recording is played the first time.
struct Tracks {
    /// Mel levels in dB re 1, `[n_frames, 128]`.
    db: Vec<f32>,
    n_samples: usize,
    level: Level,
    spectral: Spectral,
    pitch: Option<Pitch>,
    harmonicity_db: Option<Vec<f64>>,
}

impl Extractor {
    /// Plans the extraction of `spec`.
    ///
    /// # Errors
    /// If the spec has an embedding and its weights are not there.
    pub fn new(spec: &FeatureSpec) -> Result<Self, WeightsError> {
        let encoder = match spec.embedding {
            Embedding::None => None,
            Embedding::Resemblyzer => Some(Encoder::new(Weights::shared()?)),
        };
        Ok(Self {
            spec: spec.clone(),
            encoder,
            stft: Stft::new(),
            mel_bank: MelBank::new(),
            tempo: Tempo::new(),
            rates: Rates::default(),
        })
    }

    /// The features of one recording. Columns in `given` are put in as they are and not
    /// computed.
    ///
    /// # Errors
    /// A reject of stage `fetch` if the bytes cannot be read, of stage `decode` if they
    /// are no audio that can be used, of stage `extract` if it takes too long.
    pub fn extract<R>(
        &mut self,
        audio: R,
        given: &BTreeMap<String, f64>,
    ) -> Result<Features, Reject>
    where
        R: Read + Seek + Send + 'static,
    {
        let both = self.spec.mono == Mono::Auto;
        let mut recording = Recording::open(audio, &self.spec.limits, both)?;
        let mix = Mix::choose(self.spec.mono, &recording.survey);
        recording.info.mix = mix.to_string();
        let mut columns = Columns::new(&self.spec, given);
        let mut tracks = self.first_pass(&recording, mix, &columns)?;
        let embedding = self.second_pass(&recording, mix, &tracks, &mut columns)?;

        let n_frames = tracks.db.len() / N_MELS;
        let max_db = mel::clip(&mut tracks.db);
        tracks.fill(n_frames, &mut columns);
        if columns.want(&["tempo"]) {
            columns.set("tempo", self.tempo.estimate(&tracks.db));
        }
        if columns.want_any(TabularSet::Clean) {
            let lead = recording.range.start as f64 - recording.praat.start as f64;
            clean::Tracks {
                pitch: tracks.pitch.as_ref(),
                pitch_lead_s: lead / f64::from(recording.info.sample_rate_hz),
                harmonicity_db: tracks.harmonicity_db.as_deref(),
                contour: &tracks.level.contour,
                spectral: &tracks.spectral,
                length_s: recording.info.duration_s,
                n_words: given.get("num_words").copied(),
            }
            .fill(&mut columns);
        }

        let Recording { info, mut warnings, .. } = recording;
        if tracks.n_samples < N_FFT {
            warnings.push(Warning::TooShort);
        }
        if speech::is_absent(tracks.level.energy, &tracks.db, max_db) {
            warnings.push(Warning::NoSpeech);
        }
        mel::refer(&mut tracks.db, max_db, self.spec.mel.reference);
        let mel = Mel::encode(&tracks.db, self.spec.mel.storage);
        Ok(Features { audio: info, mel, tabular: columns.into_values(), embedding, warnings })
    }

    /// Takes the tracks that `columns` need.
    fn first_pass<R>(
        &mut self,
        recording: &Recording<R>,
        mix: Mix,
        columns: &Columns,
    ) -> Result<Tracks, Reject>
    where
        R: Read + Seek + Send + 'static,
    {
        let wants_clean = columns.want_any(TabularSet::Clean);
        let wants_spectral =
            wants_clean || columns.want(&PEAKS) || columns.want(&["spectral_centroid_mean"]);
        let wanted = Wanted {
            pitch: wants_clean || columns.want(&PERTURBATION),
            harmonicity: wants_clean || columns.want(&["hnr"]),
        };
        let RatePlan { resampler, praat, .. } = self.rates.plan(recording.info.sample_rate_hz);
        let mut voice = praat.tracks(extent(recording, mix), wanted);
        let hears_all = self.spec.mono == Mono::Mean;
        let (mut meter, mut spectral) = (Meter::default(), Spectral::default());
        let (mut db, mut n_samples) = (Vec::new(), 0);
        let mel_bank = &self.mel_bank;
        let mut frame = |power: &[f32]| {
            mel_bank.push(power, &mut db);
            if wants_spectral {
                spectral.push(power, wants_clean);
            }
        };
        let (mut scratch, mut resampled) = (Vec::new(), Vec::new());
        resampler.start();
        self.stft.start();
        recording.play(|at, channels| {
            let mono = mix.apply(channels, &mut scratch);
            if wanted.pitch || wanted.harmonicity {
                let part = within(at, mono.len(), &recording.praat);
                if hears_all {
                    voice.push(&channels.iter().map(|x| &x[part.clone()]).collect::<Vec<_>>());
                } else {
                    voice.push(&[&mono[part]]);
                }
            }
            resampled.clear();
            resampler.push(&mono[within(at, mono.len(), &recording.range)], &mut resampled);
            n_samples += resampled.len();
            meter.push(&resampled);
            self.stft.push(&resampled, &mut frame);
        })?;
        resampled.clear();
        resampler.finish(&mut resampled);
        n_samples += resampled.len();
        meter.push(&resampled);
        self.stft.push(&resampled, &mut frame);
        self.stft.finish(&mut frame);
        let (pitch, harmonicity_db) = voice.finish();
        let level = meter.finish();
        Ok(Tracks { db, n_samples, level, spectral, pitch, harmonicity_db })
    }

    /// Takes what needs the tracks of the first pass: pulses, and the embedding of what is
    /// sound.
    fn second_pass<R>(
        &mut self,
        recording: &Recording<R>,
        mix: Mix,
        tracks: &Tracks,
        columns: &mut Columns,
    ) -> Result<Option<Vec<f32>>, Reject>
    where
        R: Read + Seek + Send + 'static,
    {
        let pitch = tracks.pitch.as_ref().filter(|_| columns.want(&PERTURBATION));
        let mut search = pitch.map(|pitch| PulseSearch::new(pitch, extent(recording, mix)));
        let hears_all = self.spec.mono == Mono::Mean;
        let mut speech = self.encoder.as_mut().map(|encoder| {
            let resampler = self.rates.encoder_input(recording.info.sample_rate_hz);
            Speech::new(encoder, resampler, &tracks.level.intervals)
        });
        if search.is_none() && speech.is_none() {
            return Ok(None);
        }
        let mut scratch = Vec::new();
        recording.play(|at, channels| {
            let mono = mix.apply(channels, &mut scratch);
            if let Some(search) = &mut search {
                let part = within(at, mono.len(), &recording.praat);
                if hears_all {
                    search.push(&channels.iter().map(|x| &x[part.clone()]).collect::<Vec<_>>());
                } else {
                    search.push(&[&mono[part]]);
                }
            }
            if let Some(speech) = &mut speech {
                speech.push(&mono[within(at, mono.len(), &recording.range)]);
            }
        })?;
        let found = search.map_or([None; 2], PulseSearch::finish);
        for (name, value) in PERTURBATION.into_iter().zip(found.into_iter().cycle()) {
            columns.set(name, value);
        }
        Ok(speech.and_then(Speech::finish))
    }
}

impl Tracks {
    /// Fills in the columns of the set `compat` that are read off the tracks.
    fn fill(&self, n_frames: usize, columns: &mut Columns) {
        let Level { energy, zero_crossing_rate, intervals, .. } = &self.level;
        let sound: usize = intervals.iter().map(Range::len).sum();
        columns.set("energy", *energy);
        columns.set("zcr_mean", *zero_crossing_rate);
        columns.set("num_pauses", intervals.len() as f64);
        columns.set("silence_duration", sound as f64 / f64::from(SAMPLE_RATE_HZ));
        for (name, hz) in PEAKS.into_iter().zip(self.spectral.peaks_hz()) {
            columns.set(name, hz);
        }
        columns.set("spectral_centroid_mean", self.spectral.centroid_hz(n_frames));
        let hnr = self.harmonicity_db.as_ref();
        columns.set("hnr", hnr.map(|db| db.iter().sum::<f64>() / db.len() as f64));
    }
}

/// What Praat is given of a recording.
fn extent<R>(recording: &Recording<R>, mix: Mix) -> Extent {
    let (peak, peak_around_mean) = mix.peaks(&recording.survey);
    Extent {
        rate_hz: recording.info.sample_rate_hz,
        n_samples: recording.praat.len(),
        peak_around_mean,
        peak,
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
            resampler: Resampler::new(rate_hz, SAMPLE_RATE_HZ),
            praat: Praat::new(rate_hz),
            encoder_input: None,
        })
    }

    /// To the rate that the encoder of embeddings listens at.
    fn encoder_input(&mut self, rate_hz: u32) -> &mut Resampler {
        let input = &mut self.plan(rate_hz).encoder_input;
        input.get_or_insert_with(|| Resampler::new(rate_hz, embedding::RATE_HZ))
    }
}

/// What depends on the native sample rate.
struct RatePlan {
    resampler: Resampler,
    praat: Praat,
    encoder_input: Option<Resampler>,
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
    fn blocks_are_cut_to_the_recording() {
        assert_eq!(within(0, 100, &(30..250)), 30..100);
        assert_eq!(within(100, 100, &(30..250)), 0..100);
        assert_eq!(within(200, 100, &(30..250)), 0..50);
        assert!(within(300, 100, &(30..250)).is_empty());
        assert!(within(0, 20, &(30..250)).is_empty());
    }
}
