//! Sun and NeXT AU (`.au`, `.snd`).
//!
//! Always holds: a length that was never filled in is that of the file.
//! It does not know the annotation, nor encodings that no recorder writes.

use std::io::Read;

use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::io::MediaSource;

use super::pcm::{Format, HeaderError, Pcm};

/// Whether a file with these first bytes is an AU.
pub(super) fn is_au(start: &[u8]) -> bool {
    start.starts_with(b".snd")
}

pub(super) fn open(mut audio: Box<dyn MediaSource>) -> Result<Pcm, HeaderError> {
    let mut header = [0; 24];
    audio.read_exact(&mut header)?;
    let field = |i: usize| {
        u32::from_be_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]])
    };
    let (at, n_bytes, encoding, rate_hz) = (field(1), field(2), field(3), field(4));
    if at < 24 {
        return Err(HeaderError::Corrupt("its samples come before the end of the header"));
    }
    // More than fit are as unreadable as the most that fit.
    let channels = u16::try_from(field(5)).unwrap_or(u16::MAX);
    if channels == 0 {
        return Err(HeaderError::Corrupt("it has no channels"));
    }
    let (codec, sample_bytes) = match encoding {
        1 => (CODEC_ID_PCM_MULAW, 1),
        2 => (CODEC_ID_PCM_S8, 1),
        3 => (CODEC_ID_PCM_S16BE, 2),
        4 => (CODEC_ID_PCM_S24BE, 3),
        5 => (CODEC_ID_PCM_S32BE, 4),
        6 => (CODEC_ID_PCM_F32BE, 4),
        7 => (CODEC_ID_PCM_F64BE, 8),
        27 => (CODEC_ID_PCM_ALAW, 1),
        _ => return Err(HeaderError::Unsupported(format!("AU encoding {encoding}"))),
    };
    let block_bytes = sample_bytes * u64::from(channels);
    let format = Format { codec, channels, rate_hz, block_bytes, frames_per_block: 1 };
    let promised = Some(u64::from(n_bytes)).filter(|n| ![0, u32::MAX.into()].contains(n));
    Pcm::new(audio, &format, at.into(), promised)
}
