//! The messages of `voxage.proto` and the laws about them.
//!
//! Always holds: what a shard is called follows from its task alone.

use prost::Message;

use crate::digest::Digest;
use crate::keys::ShardId;
use crate::spec::{FeatureSpec, SpecId};

mod generated {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/voxage.v1.rs"));
}
pub use generated::{
    Beat, Gender, Group, Part, Plan, Predict, Recording, Reject, Split, Task, Training,
};

/// The version that this build writes and the highest that it reads.
pub const WIRE_VERSION: u32 = 1;

/// A message that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not a message at all.
    #[error("not a voxage message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer voxage.
    #[error("message of version {0}, this voxage reads up to {WIRE_VERSION}: upgrade it")]
    Newer(u32),
    /// Its parts contradict each other.
    #[error("message is inconsistent: {0}")]
    Inconsistent(&'static str),
}

impl Reject {
    /// A reject of one stage.
    pub fn new(stage: &str, code: &str, message: impl Into<String>) -> Self {
        Self { stage: stage.into(), code: code.into(), message: message.into() }
    }

    /// That of a file beyond the limit, whoever notices first.
    #[must_use]
    pub fn too_large(limit_mib: u64) -> Self {
        let message = format!(
            "the file is larger than {limit_mib} MiB; cut it, or raise spec.limits.mib (--limits-mib)"
        );
        Self::new("fetch", "too_large", message)
    }
}

impl Gender {
    /// As shards and tables have it; none if it was not given.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::Female => Some("female"),
            Self::Male => Some("male"),
        }
    }

    /// Reads the usual spellings, in any case; `famale` is one of the original data set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "" => Some(Self::Unspecified),
            "female" | "famale" | "f" | "woman" | "w" => Some(Self::Female),
            "male" | "m" | "man" => Some(Self::Male),
            _ => None,
        }
    }
}

impl Split {
    /// As shards and tables have it; none if it was not given.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::Train => Some("train"),
            Self::Validation => Some("validation"),
            Self::Test => Some("test"),
        }
    }

    /// Reads the usual spellings, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "" => Some(Self::Unspecified),
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "val" | "dev" => Some(Self::Validation),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

impl Recording {
    /// Names this recording with everything that was submitted about it.
    #[must_use]
    pub fn digest(&self, audio_root: &str) -> String {
        Digest::new("recording").part(audio_root.as_bytes()).part(&self.encode_to_vec()).hex()
    }

    /// The group that no split may divide: the speaker, else the recording itself.
    #[must_use]
    pub fn group(&self) -> &str {
        if self.speaker.is_empty() { &self.id } else { &self.speaker }
    }

    /// What was submitted in a column that no other name here is for, or as the gender; empty
    /// if nothing was.
    #[must_use]
    pub fn value(&self, column: &str) -> &str {
        match self.metadata.get(column) {
            Some(value) => value,
            None if column == "gender" => self.gender().text().unwrap_or_default(),
            None => "",
        }
    }
}

impl Group {
    /// Names the shard that these recordings make under a spec.
    #[must_use]
    pub fn shard_id(&self, audio_root: &str, spec: &SpecId) -> ShardId {
        shard_id(&self.recordings, audio_root, spec)
    }
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// If the bytes are none, or are of a newer version.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let plan = Self::decode(bytes)?;
        if plan.version > WIRE_VERSION { Err(WireError::Newer(plan.version)) } else { Ok(plan) }
    }
}

impl Part {
    /// Reads a part.
    ///
    /// # Errors
    /// If the bytes are none, or are of a newer version.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let part = Self::decode(bytes)?;
        if part.version > WIRE_VERSION { Err(WireError::Newer(part.version)) } else { Ok(part) }
    }
}

impl Task {
    /// The task that makes the shard of one group; `batch` is the number of its batch.
    #[must_use]
    pub fn new(
        dataset: &str,
        batch: u64,
        spec: &FeatureSpec,
        audio_root: &str,
        group: Group,
    ) -> Self {
        let spec_id = spec.id();
        Self {
            version: WIRE_VERSION,
            batch,
            dataset: dataset.into(),
            spec: spec.canonical_json(),
            shard_id: group.shard_id(audio_root, &spec_id).to_string(),
            spec_id: spec_id.to_string(),
            audio_root: audio_root.into(),
            recordings: group.recordings,
        }
    }

    /// The shard to make.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        ShardId(self.shard_id.clone())
    }

    /// Reads a task and the spec that it asks for.
    ///
    /// # Errors
    /// If the bytes are no task, are of a newer version, or name a shard or spec that does
    /// not follow from the contents (a sender with another extractor, or a damaged message).
    pub fn read(bytes: &[u8]) -> Result<(Self, FeatureSpec), WireError> {
        let task = Self::decode(bytes)?;
        if task.version > WIRE_VERSION {
            return Err(WireError::Newer(task.version));
        }
        let spec: FeatureSpec = serde_json::from_str(&task.spec)
            .map_err(|_| WireError::Inconsistent("its feature spec cannot be read"))?;
        if spec.id().to_string() != task.spec_id {
            return Err(WireError::Inconsistent("its sender has another version of the extractor"));
        }
        if shard_id(&task.recordings, &task.audio_root, &spec.id()).to_string() != task.shard_id {
            return Err(WireError::Inconsistent(
                "its shard id does not follow from its recordings",
            ));
        }
        Ok((task, spec))
    }
}

fn shard_id(recordings: &[Recording], audio_root: &str, spec: &SpecId) -> ShardId {
    let digest = Digest::new("shard").part(spec.to_string().as_bytes()).part(audio_root.as_bytes());
    ShardId(recordings.iter().fold(digest, |digest, r| digest.part(&r.encode_to_vec())).hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let recording = Recording { id: "1".into(), path: "a.wav".into(), ..Default::default() };
        Group { recordings: vec![recording] }
    }

    #[test]
    fn a_task_survives_the_wire_and_a_tampered_one_does_not() {
        let task = Task::new("d", 1, &FeatureSpec::default(), "file:///x/", group());
        let (read, spec) = Task::read(&task.encode_to_vec()).unwrap();
        assert_eq!((read, spec), (task.clone(), FeatureSpec::default()));

        let mut tampered = task.clone();
        tampered.recordings[0].path = "../b.wav".into();
        assert!(matches!(Task::read(&tampered.encode_to_vec()), Err(WireError::Inconsistent(_))));

        let newer = Task { version: WIRE_VERSION + 1, ..task };
        assert!(matches!(Task::read(&newer.encode_to_vec()), Err(WireError::Newer(2))));
    }

    #[test]
    fn the_shard_id_follows_from_everything_submitted() {
        let spec = FeatureSpec::default().id();
        let base = group().shard_id("file:///x/", &spec);
        let mut other = group();
        other.recordings[0].age_years = Some(30.0);
        assert_ne!(base, other.shard_id("file:///x/", &spec));
        assert_ne!(base, group().shard_id("file:///y/", &spec));
        assert_eq!(base, group().shard_id("file:///x/", &spec));
    }
}
