//! What the extractor makes of one recording.

use crate::mel::Mel;

/// What the audio turned out to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioInfo {
    /// Short name of the codec, such as `mp3` or `pcm_s16le`.
    pub codec: String,
    /// Native sample rate in Hz.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u16,
    /// How they became one: `mono`, `mean`, `left`, `right`, `left-right` or `channel 3`;
    /// empty if that is not known yet.
    pub mix: String,
    /// Decoded length in seconds.
    pub duration_s: f64,
    /// SHA-256 of the file in hexadecimal digits.
    pub sha256: String,
}

/// The features of one recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// What the audio turned out to be.
    pub audio: AudioInfo,
    /// The spectrogram, stored as the spec says.
    pub mel: Mel,
    /// One value for each of the spec's columns; none where it cannot be known.
    pub tabular: Vec<Option<f64>>,
    /// The embedding, if the spec has one and there is any sound.
    pub embedding: Option<Vec<f32>>,
    /// What was odd but usable.
    pub warnings: Vec<Warning>,
}

/// What was odd but usable about a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// Shorter than one analysis frame.
    TooShort,
    /// Digital silence, or sound as steady as noise.
    NoSpeech,
    /// Many samples stand at the greatest value.
    Clipped,
    /// The file ends before its header says.
    Truncated,
    /// NaN or infinite samples were taken as 0.
    NonFinite,
    /// Parts that could not be decoded were left out.
    Damaged,
}

impl Warning {
    const ALL: [(Self, &'static str); 6] = [
        (Self::TooShort, "too_short"),
        (Self::NoSpeech, "no_speech"),
        (Self::Clipped, "clipped"),
        (Self::Truncated, "truncated"),
        (Self::NonFinite, "non_finite"),
        (Self::Damaged, "damaged"),
    ];

    /// Stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(warning, _)| *warning == self).map_or("", |(_, code)| code)
    }

    /// The warning with a code, if it is one of the extractor's.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(warning, _)| *warning)
    }
}
