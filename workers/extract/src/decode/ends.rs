//! Where the recording begins and ends in what its container holds.
//!
//! Encoders begin with samples of their own and fill the last packet up; MP4 and WebM say how
//! much of that there is.
//!
//! It does not know samples, nor other containers: those say it to symphonia, or not at all.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use super::{mp4, webm};

/// What a container says of a track, in nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// Before the recording.
    pub(super) start_ns: u64,
    /// Of the recording, at most.
    pub(super) most_ns: Option<u64>,
    /// Behind the recording.
    pub(super) padding_ns: u64,
}

/// What a file with these first bytes says of its tracks, by their numbers.
pub(super) fn ends(
    audio: &mut (impl Read + Seek),
    start: &[u8],
) -> io::Result<BTreeMap<u32, Ends>> {
    let found = if start.get(4..8) == Some(b"ftyp") {
        mp4::ends(audio)?
    } else if start.starts_with(&webm::MARK) {
        webm::ends(audio)?
    } else {
        BTreeMap::new()
    };
    audio.rewind()?;
    Ok(found)
}
