//! One recording, from its source to its bytes or the reason why there are none.

use tokio::task::spawn_blocking;
use voxage_contract::{AudioInfo, FeatureSpec, Recording, Reject};
use voxage_transport::source::{Audio, Sources, Stat};

use crate::Result;

/// What an audio file is, told by its beginning. An object of S3 is fetched whole for it.
///
/// # Errors
/// The outer one if the source cannot be reached now; the inner one if it is at fault.
pub async fn probe(
    sources: &Sources,
    audio_root: &str,
    path: &str,
) -> Result<Result<AudioInfo, Reject>> {
    match sources.open(audio_root, path, None, u64::MAX).await? {
        Ok(audio) => Ok(spawn_blocking(|| voxage_extract::probe(audio)).await?),
        Err(reject) => Ok(Err(reject)),
    }
}

/// The bytes of a recording: its source must be as it was planned, if it was.
pub(crate) async fn fetch(
    sources: &Sources,
    spec: &FeatureSpec,
    audio_root: &str,
    recording: &Recording,
) -> Result<Result<Audio, Reject>> {
    if let Some(reject) = &recording.reject {
        return Ok(Err(reject.clone()));
    }
    let planned = recording.size_bytes;
    let planned = planned.map(|size_bytes| Stat { size_bytes, etag: recording.etag.clone() });
    let limit_bytes = spec.limits.mib.saturating_mul(1 << 20);
    Ok(sources.open(audio_root, &recording.path, planned.as_ref(), limit_bytes).await?)
}
