//! One recording, from its source to its features or the reason why there are none.

use std::fs::File;
use std::io;

use voxage_contract::{AudioInfo, Features, Recording, Reject};
use voxage_extract::Extractor;
use voxage_transport::source::{self, Stat};

/// What an audio file is, told by its beginning.
///
/// # Errors
/// The outer one if the source cannot be reached now; the inner one if it is at fault.
pub fn probe(audio_root: &str, path: &str) -> io::Result<Result<AudioInfo, Reject>> {
    let audio = open(audio_root, path)?;
    Ok(audio.and_then(voxage_extract::probe))
}

/// The features of a recording: its source must be as it was planned, if it was.
pub(crate) fn extract_planned(
    extractor: &mut Extractor,
    audio_root: &str,
    recording: &Recording,
) -> io::Result<Result<Features, Reject>> {
    if let Some(reject) = &recording.reject {
        return Ok(Err(reject.clone()));
    }
    if let Some(planned) = recording.size_bytes {
        let planned = Stat { size_bytes: planned, etag: recording.etag.clone() };
        let found = source::stat(audio_root, &recording.path);
        let found = match rejected(found, audio_root, &recording.path)? {
            Ok(found) => found,
            Err(reject) => return Ok(Err(reject)),
        };
        if found != planned {
            let message = format!(
                "{} changed after it was planned: submit its manifest again",
                recording.path
            );
            return Ok(Err(Reject::new("fetch", "source_changed", message)));
        }
    }
    let audio = open(audio_root, &recording.path)?;
    Ok(audio.and_then(|audio| extractor.extract(audio, &recording.given)))
}

fn open(audio_root: &str, path: &str) -> io::Result<Result<File, Reject>> {
    rejected(source::open(audio_root, path), audio_root, path)
}

/// Tells the recording's fault from the world's.
fn rejected<T>(
    result: io::Result<T>,
    audio_root: &str,
    path: &str,
) -> io::Result<Result<T, Reject>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => source::reject(&error, audio_root, path).map(Err).ok_or(error),
    }
}
