//! From the bytes of a recording to its features.
//!
//! Always holds: plans and scratch live as long as the extractor, so a recording costs
//! what it is long; the same bytes under the same spec give the same features.
//! It does not know where recordings come from or where features go.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ};
use voxage_contract::{FeatureSpec, Features, Mel, Mono, N_MELS, Reject, Warning};

use crate::decode::decode;
use crate::level::level;
use crate::mel::{self, MelBank};
use crate::praat::Praat;
use crate::resample::Resampler;
use crate::spectral::Spectral;
use crate::spectrum::{Stft, n_frames};
use crate::tempo::Tempo;

/// Sample rates whose plans are kept.
const MOST_RATES: usize = 8;

/// Extracts the features of one spec; one a thread.
pub struct Extractor {
    spec: FeatureSpec,
    stft: Stft,
    mel_bank: MelBank,
    tempo: Tempo,
    /// By native sample rate in Hz.
    rates: BTreeMap<u32, RatePlan>,
}

/// What depends on the native sample rate.
struct RatePlan {
    /// None at the rate of the features.
    resampler: Option<Resampler>,
    praat: Praat,
}

impl RatePlan {
    fn new(rate_hz: u32) -> Self {
        let resampler = (rate_hz != SAMPLE_RATE_HZ).then(|| Resampler::new(rate_hz));
        Self { resampler, praat: Praat::new(rate_hz) }
    }
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
            rates: BTreeMap::new(),
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
        let decoded = decode(audio)?;
        let rate_hz = decoded.info.sample_rate_hz;
        if self.rates.len() >= MOST_RATES && !self.rates.contains_key(&rate_hz) {
            self.rates.clear();
        }
        let plan = self.rates.entry(rate_hz).or_insert_with(|| RatePlan::new(rate_hz));
        let samples = mono(&decoded.channels, self.spec.mono);
        let samples = match &mut plan.resampler {
            Some(resampler) => resampler.run(&samples),
            None => samples,
        };

        let mut columns = Columns::new(&self.spec, given);
        let mut db = Vec::with_capacity(n_frames(samples.len()) * N_MELS);
        let mut spectral = Spectral::default();
        for i in 0..n_frames(samples.len()) {
            let frame = self.stft.frame(&samples, i);
            self.mel_bank.push(frame, &mut db);
            spectral.push(frame);
        }
        let max_db = mel::clip(&mut db);
        let [mean, max, min] = spectral.peaks_hz().map_or([None; 3], |hz| hz.map(Some));
        columns.set("mean_pitch", mean);
        columns.set("max_pitch", max);
        columns.set("min_pitch", min);
        columns.set("spectral_centroid_mean", Some(spectral.centroid_hz()));
        if columns.wants("tempo") {
            columns.set("tempo", Some(self.tempo.estimate(&db)));
        }
        let level = level(&samples);
        columns.set("energy", Some(level.energy));
        columns.set("zcr_mean", Some(level.zero_crossing_rate));
        columns.set("num_pauses", Some(level.n_intervals as f64));
        columns.set("silence_duration", Some(level.sound_s));
        if columns.wants("jitter") || columns.wants("shimmer") {
            let [jitter, shimmer] = plan.praat.perturbation(&decoded.channels);
            columns.set("jitter", jitter);
            columns.set("shimmer", shimmer);
        }
        if columns.wants("hnr") {
            columns.set("hnr", plan.praat.harmonicity_db(&decoded.channels));
        }

        let mut warnings = decoded.warnings;
        if samples.len() < N_FFT {
            warnings.push(Warning::TooShort);
        }
        mel::refer(&mut db, max_db, self.spec.mel.reference);
        Ok(Features {
            audio: decoded.info,
            mel: Mel::encode(&db, self.spec.mel.storage),
            tabular: columns.into_values(),
            warnings,
        })
    }
}

/// One channel out of all.
fn mono(channels: &[Vec<f32>], mono: Mono) -> Vec<f32> {
    match mono {
        Mono::Mean => {
            let mut mean = channels[0].clone();
            for channel in &channels[1..] {
                for (sum, x) in mean.iter_mut().zip(channel) {
                    *sum += x;
                }
            }
            let n = channels.len() as f32;
            if channels.len() > 1 {
                for x in &mut mean {
                    *x /= n;
                }
            }
            mean
        }
    }
}

/// The values of a spec's columns.
struct Columns {
    names: Vec<&'static str>,
    values: Vec<Option<f64>>,
    given: Vec<bool>,
}

impl Columns {
    fn new(spec: &FeatureSpec, given: &BTreeMap<String, f64>) -> Self {
        let names: Vec<_> = spec.columns().map(|column| column.name).collect();
        let values = names.iter().map(|&name| given.get(name).copied()).collect();
        let given = names.iter().map(|&name| given.contains_key(name)).collect();
        Self { names, values, given }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|&known| known == name).filter(|&i| !self.given[i])
    }

    /// Whether the spec has this column and it was not given.
    fn wants(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Sets a column that is wanted; what is not finite is not known.
    fn set(&mut self, name: &str, value: Option<f64>) {
        if let Some(i) = self.place(name) {
            self.values[i] = value.filter(|x| x.is_finite());
        }
    }

    fn into_values(self) -> Vec<Option<f64>> {
        self.values
    }
}
