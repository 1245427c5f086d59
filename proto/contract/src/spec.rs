//! The feature spec: which features a shard holds, and how it stores them.
//!
//! Always holds: two specs with the same [`SpecId`] give the same features, because
//! the id covers every field and [`EXTRACTOR_VERSION`].

use serde::{Deserialize, Serialize};

use crate::columns::{Column, TabularSet};
use crate::digest::Digest;
use crate::mel::MelStorage;

/// Version of the arithmetic behind the features. Raise it with every change that
/// alters a feature's value: the golden tests of the extractor fail until that is done.
pub const EXTRACTOR_VERSION: u32 = 2;

/// Rate of the samples that features are computed from, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 22_050;

/// Length of an analysis frame, in samples at [`SAMPLE_RATE_HZ`].
pub const N_FFT: usize = 2048;

/// Distance between two frames, in samples at [`SAMPLE_RATE_HZ`].
pub const HOP_SAMPLES: usize = 512;

/// Depth of a log-mel spectrogram below the recording's maximum, in dB.
pub const TOP_DB: f32 = 80.0;

/// How channels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mono {
    /// The mean of all channels, as `librosa.load` does. Columns that Praat defines are
    /// measured on all channels, as Praat does.
    #[default]
    Mean,
    /// What a listener would pick: without channels that carry next to nothing, and with
    /// one of two channels of opposite phase turned round.
    Auto,
    /// The first channel.
    Left,
    /// The second channel, or the only one.
    Right,
}

/// What a recording may take at most; one that takes more is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Size of its file in MiB.
    pub mib: u64,
    /// Decoded length in seconds.
    pub duration_s: u64,
    /// Channels.
    pub channels: u64,
    /// Time to extract it in seconds.
    pub extract_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { mib: 4096, duration_s: 3 * 3600, channels: 64, extract_s: 600 }
    }
}

/// Numbers of an embedding.
pub const EMBEDDING_UNITS: usize = 256;

/// A pretrained network whose view of a recording is stored beside the other features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Embedding {
    /// No embedding.
    #[default]
    None,
    /// The speaker encoder of Resemblyzer 0.1.4: 256 numbers of Euclidean norm 1.
    Resemblyzer,
}

impl Embedding {
    /// Numbers of it.
    #[must_use]
    pub fn units(self) -> usize {
        match self {
            Self::None => 0,
            Self::Resemblyzer => 256,
        }
    }
}

/// What 0 dB of a log-mel spectrogram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MelReference {
    /// The recording's own maximum: the loudness of the recording cancels out.
    #[default]
    Max,
    /// A power of 1.0: the loudness stays visible.
    One,
}

/// How the log-mel spectrogram is scaled and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MelSpec {
    /// What 0 dB is.
    pub reference: MelReference,
    /// How its cells are stored.
    pub storage: MelStorage,
}

/// The features of a data set: the same for every recording of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureSpec {
    /// How channels become one.
    pub mono: Mono,
    /// The spectrogram.
    pub mel: MelSpec,
    /// The sets of tabular columns, in the order of their columns.
    pub tabular: Vec<TabularSet>,
    /// The embedding.
    pub embedding: Embedding,
    /// What a recording may take.
    pub limits: Limits,
}

impl Default for FeatureSpec {
    fn default() -> Self {
        Self {
            mono: Mono::default(),
            mel: MelSpec::default(),
            tabular: vec![TabularSet::Compat],
            embedding: Embedding::default(),
            limits: Limits::default(),
        }
    }
}

/// Names a [`FeatureSpec`] under one version of the extractor: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecId(pub(crate) String);

impl FeatureSpec {
    /// The one way to write this spec: what digests and footers hold.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The spec's name under this build's extractor.
    #[must_use]
    pub fn id(&self) -> SpecId {
        self.id_under(EXTRACTOR_VERSION)
    }

    /// The spec's name under another version of the extractor.
    #[must_use]
    pub fn id_under(&self, extractor_version: u32) -> SpecId {
        SpecId(
            Digest::new("spec")
                .part(&extractor_version.to_le_bytes())
                .part(self.canonical_json().as_bytes())
                .hex(),
        )
    }

    /// The tabular columns, in the order of a row's values.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + use<'_> {
        self.tabular.iter().flat_map(|set| set.columns())
    }
}

impl std::fmt::Display for SpecId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_follows_every_field_and_the_version() {
        let default = FeatureSpec::default();
        let mut other = default.clone();
        other.mel.storage = MelStorage::F16;
        assert_ne!(default.id(), other.id());
        assert_ne!(default.id(), default.id_under(EXTRACTOR_VERSION + 1));
        assert_eq!(default.id(), FeatureSpec::default().id());
    }

    #[test]
    fn the_canonical_form_is_pinned() {
        // A changed form renames every shard that exists: only on purpose.
        let expected = concat!(
            r#"{"mono":"mean","mel":{"reference":"max","storage":"u8"},"tabular":["compat"],"#,
            r#""embedding":"none","#,
            r#""limits":{"mib":4096,"duration_s":10800,"channels":64,"extract_s":600}}"#,
        );
        assert_eq!(FeatureSpec::default().canonical_json(), expected);
    }
}
