//! One row of a shard.

use voxage_contract::digest::Digest;
use voxage_contract::{Features, Recording, Reject};

/// One recording of a shard: what was submitted and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As submitted; its `reject` is empty, see `outcome`.
    pub recording: Recording,
    /// Its features, or why there are none.
    pub outcome: Result<Features, Reject>,
}

impl Row {
    /// Codes of what was odd but usable, of the submission first.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let found = self.outcome.iter().flat_map(|features| &features.warnings);
        self.recording.warnings.iter().map(String::as_str).chain(found.map(|w| w.code()))
    }

    /// `ok`, `warned` or `rejected`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match &self.outcome {
            Err(_) => "rejected",
            Ok(_) if self.warnings().next().is_some() => "warned",
            Ok(_) => "ok",
        }
    }

    /// Adds everything that was made of the recording to a digest.
    pub(crate) fn add_to(&self, digest: Digest) -> Digest {
        let digest = digest.part(self.recording.id.as_bytes()).part(self.status().as_bytes());
        match &self.outcome {
            Err(reject) => digest.part(reject.code.as_bytes()),
            Ok(features) => {
                let values: Vec<u8> = features
                    .tabular
                    .iter()
                    .flat_map(|value| value.unwrap_or(f64::NAN).to_le_bytes())
                    .collect();
                let embedding: Vec<u8> =
                    features.embedding.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
                let (scale, offset) = (features.mel.scale, features.mel.offset);
                digest
                    .part(features.audio.sha256.as_bytes())
                    .part(features.audio.mix.as_bytes())
                    .part(&values)
                    .part(&embedding)
                    .part(&[scale.to_le_bytes(), offset.to_le_bytes()].concat())
                    .part(&features.mel.bytes)
            }
        }
    }
}

/// Names a list of rows by what was made of them.
pub(crate) fn digest(rows: &[Row]) -> String {
    rows.iter().fold(Digest::new("rows"), |digest, row| row.add_to(digest)).hex()
}

/// Names the audio that a list of rows was made from.
pub(crate) fn sources_digest(rows: &[Row]) -> String {
    let sources = rows.iter().filter_map(|row| row.outcome.as_ref().ok());
    sources.fold(Digest::new("sources"), |d, f| d.part(f.audio.sha256.as_bytes())).hex()
}
