//! The set `clean`: what the names of the original columns should have meant.
//!
//! Always holds: everything is read off tracks that the other features need as well; no
//! sample is looked at here.

use voxage_contract::spec::{HOP_SAMPLES, SAMPLE_RATE_HZ};

use crate::columns::Columns;
use crate::lanes;
use crate::level::CONTOUR_SAMPLES;
use crate::praat::{Pitch, is_voiced};
use crate::spectral::Spectral;

/// 0 semitones, in Hz.
const SEMITONE_HZ: f64 = 100.0;

/// What separates sounds counts as a pause from this length on, in seconds.
const PAUSE_S: f64 = 0.2;

/// Shorter sounds are clicks, which end no pause: 29 ms, in values of the contour.
const CLICK: usize = 5;

/// A pause lies this far below the loudest sound, in dB: more in a quiet room, less where
/// there is noise between sounds.
const PAUSE_DB: std::ops::RangeInclusive<f64> = 20.0..=30.0;

/// Noise between sounds is what is louder than this part of the recording, and varies by as
/// many dB.
const NOISE_PART: f64 = 0.1;
const NOISE_DB: f64 = 6.0;

/// Time over which the loudest sound is measured, in seconds.
const LOUDEST_S: f64 = 0.1;

/// Time over which loudness is smoothed, twice, to see syllables, in seconds.
const SYLLABLE_S: f64 = 0.04;

/// Between two syllables loudness dips by this much, in dB (de Jong and Wempe 2009).
const DIP_DB: f32 = 2.0;

/// Syllables are no more than this below the loudest one, in dB (de Jong and Wempe 2009).
const SYLLABLE_DB: f32 = 25.0;

/// Time between two values of the contour, in seconds.
const CONTOUR_S: f64 = CONTOUR_SAMPLES as f64 / SAMPLE_RATE_HZ as f64;

/// The tracks of a recording.
pub(crate) struct Tracks<'a> {
    pub(crate) pitch: Option<&'a Pitch>,
    /// From the start of the pitch track to that of the others, in seconds.
    pub(crate) pitch_lead_s: f64,
    /// Harmonics-to-noise ratio of each frame in dB.
    pub(crate) harmonicity_db: Option<&'a [f64]>,
    /// Mean power of every [`CONTOUR_SAMPLES`] samples.
    pub(crate) contour: &'a [f32],
    pub(crate) spectral: &'a Spectral,
    pub(crate) length_s: f64,
    /// Of the transcript, if there is one.
    pub(crate) n_words: Option<f64>,
}

impl Tracks<'_> {
    /// Fills in the columns of the set, but for jitter and shimmer.
    pub(crate) fn fill(&self, columns: &mut Columns) {
        let hz = self.pitch.map_or(&[][..], |pitch| &pitch.hz);
        let voiced_hz: Vec<f64> = hz.iter().flatten().copied().collect();
        let semitones: Vec<f64> =
            voiced_hz.iter().map(|hz| 12.0 * (hz / SEMITONE_HZ).log2()).collect();
        for (values, names) in [
            (voiced_hz, ["f0_mean", "f0_sd", "f0_p05", "f0_median", "f0_p95"]),
            (semitones, ["f0_mean_st", "f0_sd_st", "f0_p05_st", "f0_median_st", "f0_p95_st"]),
        ] {
            for (name, value) in names.into_iter().zip(summary(values)) {
                columns.set(name, value);
            }
        }
        let n_voiced = hz.iter().flatten().count() as f64;
        columns.set("voiced_ratio", n_voiced / hz.len() as f64);
        let hnr = self.harmonicity_db.unwrap_or_default();
        columns.set("hnr_voiced", mean(hnr.iter().copied().filter(|&db| is_voiced(db))));
        let pauses_s = pauses_s(self.contour);
        columns.set("pause_count", pauses_s.len() as f64);
        columns.set("pause_total", pauses_s.iter().fold(0.0, |sum, length| sum + length));
        columns.set("pause_mean", mean(pauses_s.into_iter()));
        let n_syllables = self.syllables();
        columns.set("syllables_per_s", n_syllables as f64 / self.length_s);
        columns.set("words_per_s", self.n_words.map(|n| n / self.length_s));
        columns.set("audio_length", self.length_s);
        let spectral = self.spectral;
        columns.set("centroid_voiced", self.mean_voiced(&spectral.centroids_hz));
        columns.set("rolloff_voiced", self.mean_voiced(&spectral.roll_offs_hz));
        columns.set("slope_voiced", self.mean_voiced(&spectral.slopes_db));
    }

    fn is_voiced_at(&self, time_s: f64) -> bool {
        self.pitch.is_some_and(|pitch| pitch.at(time_s + self.pitch_lead_s).is_some())
    }

    /// The mean over those spectral frames whose middle is voiced.
    fn mean_voiced(&self, values: &[f32]) -> Option<f64> {
        let hop_s = HOP_SAMPLES as f64 / f64::from(SAMPLE_RATE_HZ);
        let voiced =
            values.iter().enumerate().filter(|(i, _)| self.is_voiced_at(*i as f64 * hop_s));
        mean(voiced.map(|(_, &x)| f64::from(x)))
    }

    /// The number of syllable nuclei: voiced peaks of loudness between dips.
    fn syllables(&self) -> usize {
        let width = (SYLLABLE_S / CONTOUR_S).round() as usize;
        let smooth = smoothed(&smoothed(self.contour, width), width);
        let levels: Vec<f32> = smooth.iter().map(|power| 10.0 * power.max(1e-12).log10()).collect();
        let least = lanes::range(&levels).1 - SYLLABLE_DB;
        let time_s = |i: usize| (i as f64 + 0.5) * CONTOUR_S;
        let tops = peaks(&levels, DIP_DB).into_iter();
        tops.filter(|&i| levels[i] >= least && self.is_voiced_at(time_s(i))).count()
    }
}

/// Mean, standard deviation, 5th, 50th and 95th percentile (linear between ranks).
fn summary(mut values: Vec<f64>) -> [Option<f64>; 5] {
    let Some(mean) = mean(values.iter().copied()) else { return [None; 5] };
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    values.sort_unstable_by(f64::total_cmp);
    let percentile = |part: f64| {
        let rank = part * (values.len() - 1) as f64;
        let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
        below + (above - below) * rank.fract()
    };
    [mean, variance.sqrt(), percentile(0.05), percentile(0.5), percentile(0.95)].map(Some)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0u32, 0.0), |(n, sum), x| (n + 1, sum + x));
    (n > 0).then(|| sum / f64::from(n))
}

/// Lengths of the pauses in seconds.
fn pauses_s(contour: &[f32]) -> Vec<f64> {
    let mut smooth = smoothed(contour, (LOUDEST_S / CONTOUR_S).round() as usize);
    let loudest = f64::from(lanes::range(&smooth).1);
    let rank = (NOISE_PART * smooth.len() as f64) as usize;
    let (_, noise, _) = smooth.select_nth_unstable_by(rank, f32::total_cmp);
    let noise_db = 10.0 * (f64::from(*noise) / loudest).log10() + NOISE_DB;
    let level = loudest * 10f64.powf(noise_db.clamp(-PAUSE_DB.end(), -PAUSE_DB.start()) / 10.0);
    let mut is_sound: Vec<bool> = contour.iter().map(|&power| f64::from(power) > level).collect();
    for run in is_sound.chunk_by_mut(bool::eq) {
        run[0] &= run.len() >= CLICK;
        let is_sound = run[0];
        run.fill(is_sound);
    }
    let Some(first) = is_sound.iter().position(|&sound| sound) else { return Vec::new() };
    let last = is_sound.iter().rposition(|&sound| sound).unwrap_or(first);
    let runs = is_sound[first..=last].chunk_by(bool::eq).filter(|run| !run[0]);
    runs.map(|run| run.len() as f64 * CONTOUR_S).filter(|&length| length >= PAUSE_S).collect()
}

/// The mean of `width` neighbours of each value, of fewer at the ends.
fn smoothed(values: &[f32], width: usize) -> Vec<f32> {
    let (before, after) = (width / 2, width - width / 2);
    let mut sum = 0.0;
    let (mut from, mut to) = (0, 0);
    let window = |i: usize| {
        let end = (i + after).min(values.len());
        sum += values[to..end].iter().map(|&x| f64::from(x)).sum::<f64>();
        let start = i.saturating_sub(before);
        sum -= values[from..start].iter().map(|&x| f64::from(x)).sum::<f64>();
        (from, to) = (start, end);
        // Differences of sums may leave a trace below zero.
        (sum / (end - start) as f64).max(0.0) as f32
    };
    (0..values.len()).map(window).collect()
}

/// The places of the maxima that rise and fall by at least `dip` on both sides.
fn peaks(levels: &[f32], dip: f32) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut lowest, mut top) = (f32::INFINITY, None::<usize>);
    for (i, &level) in levels.iter().enumerate() {
        match top {
            Some(place) if level > levels[place] => top = Some(i),
            Some(place) if level <= levels[place] - dip => {
                found.push(place);
                (lowest, top) = (level, None);
            }
            Some(_) => {}
            None if level >= lowest + dip => top = Some(i),
            None => lowest = lowest.min(level),
        }
    }
    found
}
