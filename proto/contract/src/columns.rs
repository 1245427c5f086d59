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
}

/// One tabular column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in manifests, shards and JSON.
    pub name: &'static str,
    /// Unit of its values; `1` where it has none.
    pub unit: &'static str,
    /// Definition.
    pub doc: &'static str,
    /// Whether it follows from the audio; the others come with the manifest or are null.
    pub from_audio: bool,
}

const fn audio(name: &'static str, unit: &'static str, doc: &'static str) -> Column {
    Column { name, unit, doc, from_audio: true }
}

const fn transcript(name: &'static str, unit: &'static str, doc: &'static str) -> Column {
    Column { name, unit, doc, from_audio: false }
}

/// The set `compat`: 14 columns, 12 of which are computed from the audio.
pub const COMPAT: [Column; 14] = [
    audio(
        "mean_pitch",
        "Hz",
        "mean of librosa.piptrack's positive peaks, 150 to 4000 Hz; spectral peaks, not F0",
    ),
    audio("max_pitch", "Hz", "maximum of librosa.piptrack's positive peaks"),
    audio("min_pitch", "Hz", "minimum of librosa.piptrack's positive peaks"),
    audio("jitter", "1", "Praat jitter (local), periodic cc 75 to 600 Hz at the native rate"),
    audio("shimmer", "1", "Praat shimmer (local), the same point process"),
    audio("energy", "1", "mean of the squared samples at 22050 Hz"),
    audio("zcr_mean", "1", "mean zero-crossing rate of frames of 2048 samples every 512"),
    audio(
        "spectral_centroid_mean",
        "Hz",
        "mean spectral centroid of frames of 2048 samples every 512",
    ),
    audio("tempo", "1/min", "librosa.beat.beat_track, onset strength aggregated by the median"),
    audio(
        "hnr",
        "dB",
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
        "number of NON-silent intervals, librosa.effects.split(top_db=30); misnamed in the original",
    ),
    audio(
        "silence_duration",
        "s",
        "total length of the NON-silent intervals; misnamed in the original",
    ),
];

/// Every column that voxage knows, whatever the spec.
pub fn all() -> impl Iterator<Item = &'static Column> {
    COMPAT.iter()
}

impl TabularSet {
    /// The columns of this set, in order.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Compat => &COMPAT,
        }
    }
}
