//! From the bytes of a recording to its samples, whatever the format and file name.
//!
//! Always holds: all channels have the same number of finite samples, at least one; what
//! was odd about the file is a warning, what makes it useless a reject; a panic in a
//! decoder is the fault of that one file.
//! It does not know what the samples are for.

mod au;
mod inspect;
mod opus;
mod pcm;
mod reject;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod wav;

use std::io::{Read, Seek};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use voxage_contract::{AudioInfo, Reject, Warning};

use reject::{corrupt, fetch};
use source::{Failure, Source};
use stream::Stream;

/// A decoded recording.
pub(crate) struct Decoded {
    pub(crate) info: AudioInfo,
    /// All samples of each channel at the native rate, 1.0 being full scale.
    pub(crate) channels: Vec<Vec<f32>>,
    /// Those of the recording itself, without what an encoder put around them.
    pub(crate) recording: Range<usize>,
    /// Those that Praat takes for the recording.
    pub(crate) praat: Range<usize>,
    pub(crate) warnings: Vec<Warning>,
}

/// Decodes a whole recording.
pub(crate) fn decode<R>(audio: R) -> Result<Decoded, Reject>
where
    R: Read + Seek + Send + Sync + 'static,
{
    guarded(|failure| {
        let mut source = Source::new(audio, failure).map_err(fetch)?;
        let sha256 = source.sha256().map_err(fetch)?;
        let mut decoded = Stream::open(source)?.read_all()?;
        decoded.info.sha256 = sha256;
        Ok(decoded)
    })
}

/// Opens a recording and decodes its first samples only.
///
/// The duration is what the container says, 0 if it says nothing; the hash is left empty.
///
/// # Errors
/// As [`crate::Extractor::extract`], as far as the start of the file shows.
pub fn probe<R>(audio: R) -> Result<AudioInfo, Reject>
where
    R: Read + Seek + Send + Sync + 'static,
{
    guarded(|failure| {
        let source = Source::new(audio, failure).map_err(fetch)?;
        Stream::open(source)?.read_first()
    })
}

/// Runs `work`, telling a failed read from a damaged file.
fn guarded<T>(work: impl FnOnce(&Failure) -> Result<T, Reject>) -> Result<T, Reject> {
    let failure = Failure::default();
    let result = catch_unwind(AssertUnwindSafe(|| work(&failure)))
        .unwrap_or_else(|_| Err(corrupt("its decoder gave up")));
    match failure.get() {
        Some(why) => Err(fetch(why)),
        None => result,
    }
}
