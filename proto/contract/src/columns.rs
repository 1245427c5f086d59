//! The tabular columns: their names, units and meaning.
//!
//! Always holds: the order of a set never changes; a new set is appended. Names are
//! those of the original data set, also where they mislead; the doc says what the
//! number is.

use serde::{Deserialize, Serialize};

/// A named group of tabular columns that a spec can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TabularSet {
    /// The columns of the original report, exactly as they were computed.
    Compat,
    /// What the names of the original columns should have meant.
    Clean,
}

/// One tabular column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in manifests, shards and JSON.
    pub name: &'static str,
    /// Unit of its values; `1` where it has none.
    pub unit: &'static str,
    /// Least and greatest value that it can have, in words.
    pub range: &'static str,
    /// Definition.
    pub doc: &'static str,
    /// Whether it follows from the audio; the others come with the manifest or are null.
    pub from_audio: bool,
}

const fn audio(
    name: &'static str,
    unit: &'static str,
    range: &'static str,
    doc: &'static str,
) -> Column {
    Column { name, unit, range, doc, from_audio: true }
}

const fn transcript(name: &'static str, unit: &'static str, doc: &'static str) -> Column {
    Column { name, unit, range: "0 and more", doc, from_audio: false }
}

const ANY: &str = "0 and more";
const PEAKS_HZ: &str = "145 to 4005";
const NYQUIST_HZ: &str = "0 to 11025";
const F0_HZ: &str = "75 to 600";
const F0_ST: &str = "-4.98 to 31.02";

/// The set `compat`: 14 columns, 12 of which are computed from the audio.
pub const COMPAT: [Column; 14] = [
    audio(
        "mean_pitch",
        "Hz",
        PEAKS_HZ,
        "mean of librosa.piptrack's positive peaks, 150 to 4000 Hz; spectral peaks, not F0",
    ),
    audio("max_pitch", "Hz", PEAKS_HZ, "maximum of librosa.piptrack's positive peaks"),
    audio("min_pitch", "Hz", PEAKS_HZ, "minimum of librosa.piptrack's positive peaks"),
    audio(
        "jitter",
        "1",
        "0 to 0.3",
        "Praat jitter (local), periodic cc 75 to 600 Hz at the native rate",
    ),
    audio("shimmer", "1", "0 to 0.6", "Praat shimmer (local), the same point process"),
    audio("energy", "1", ANY, "mean of the squared samples at 22050 Hz"),
    audio("zcr_mean", "1", "0 to 1", "mean zero-crossing rate of frames of 2048 samples every 512"),
    audio(
        "spectral_centroid_mean",
        "Hz",
        NYQUIST_HZ,
        "mean spectral centroid of frames of 2048 samples every 512",
    ),
    audio(
        "tempo",
        "1/min",
        "0 to 320",
        "librosa.beat.beat_track, onset strength aggregated by the median",
    ),
    audio(
        "hnr",
        "dB",
        "-200 to 150",
        "Praat harmonicity (cc) averaged over all frames, unvoiced ones at -200 dB included",
    ),
    transcript("num_words", "1", "words of the transcript"),
    transcript(
        "num_characters",
        "1",
        "characters of the transcript without blanks, punctuation counted",
    ),
    audio(
        "num_pauses",
        "1",
        "1 and more",
        "number of NON-silent intervals, librosa.effects.split(top_db=30); misnamed in the original",
    ),
    audio(
        "silence_duration",
        "s",
        ANY,
        "total length of the NON-silent intervals; misnamed in the original",
    ),
];

/// The set `clean`: 23 columns.
pub const CLEAN: [Column; 23] = [
    audio("f0_mean", "Hz", F0_HZ, "mean fundamental frequency of voiced frames, every 10 ms"),
    audio("f0_median", "Hz", F0_HZ, "their median"),
    audio("f0_sd", "Hz", "0 to 263", "their standard deviation"),
    audio("f0_p05", "Hz", F0_HZ, "their 5th percentile"),
    audio("f0_p95", "Hz", F0_HZ, "their 95th percentile"),
    audio("f0_mean_st", "semitone", F0_ST, "mean fundamental frequency, semitones re 100 Hz"),
    audio("f0_median_st", "semitone", F0_ST, "their median"),
    audio("f0_sd_st", "semitone", "0 to 18", "their standard deviation"),
    audio("f0_p05_st", "semitone", F0_ST, "their 5th percentile"),
    audio("f0_p95_st", "semitone", F0_ST, "their 95th percentile"),
    audio(
        "hnr_voiced",
        "dB",
        "-150 to 150",
        "harmonics-to-noise ratio (Praat, cc) averaged over voiced frames only",
    ),
    audio("jitter_local", "1", "0 to 0.3", "mean difference of neighbouring periods over the mean"),
    audio(
        "shimmer_local",
        "1",
        "0 to 0.6",
        "mean difference of neighbouring periods' amplitudes over the mean",
    ),
    audio(
        "pause_count",
        "1",
        ANY,
        "pauses: at least 0.2 s between sounds, 30 dB below the loudest 0.1 s, or up to 20 dB where there is noise",
    ),
    audio("pause_total", "s", ANY, "their total length"),
    audio("pause_mean", "s", "0.2 and more", "their mean length; null where there is none"),
    audio("voiced_ratio", "1", "0 to 1", "voiced frames over all frames"),
    audio(
        "words_per_s",
        "1/s",
        ANY,
        "words of the transcript over the length; null where there is no transcript",
    ),
    audio(
        "syllables_per_s",
        "1/s",
        ANY,
        "syllable nuclei (voiced peaks of loudness after a dip of 2 dB) over the length",
    ),
    audio("audio_length", "s", ANY, "length of the recording"),
    audio(
        "centroid_voiced",
        "Hz",
        NYQUIST_HZ,
        "mean spectral centroid above 20 Hz of voiced frames of 2048 samples every 512",
    ),
    audio(
        "slope_voiced",
        "dB/octave",
        "-80 to 80",
        "slope of the regression line through a frame's levels in the octaves from 250 to 8000 Hz, mean of voiced frames",
    ),
    audio(
        "rolloff_voiced",
        "Hz",
        NYQUIST_HZ,
        "frequency below which 85 % of a frame's magnitude above 20 Hz lies, mean of voiced frames",
    ),
];

/// Every column that voxage knows, whatever the spec.
pub fn all() -> impl Iterator<Item = &'static Column> {
    COMPAT.iter().chain(&CLEAN)
}

impl TabularSet {
    /// The columns of this set, in order.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Compat => &COMPAT,
            Self::Clean => &CLEAN,
        }
    }
}
