//! RIFF WAVE and its forms beyond 4 GiB (RF64, BW64, Sony Wave64), read the way recorders
//! write them: sizes that were never filled in, chunks in any order, more promised than
//! there is.
//!
//! Always holds: every step goes forward by at least a chunk's header, and there are not
//! many of them.
//! It does not know how samples are coded, nor what other chunks mean.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::io::MediaSource;

use super::pcm::{Format, HeaderError, Pcm};

/// More chunks than recorders write before the samples.
const MOST_CHUNKS: u32 = 10_000;

/// The GUIDs of Wave64: names of RIFF, each with its tail.
const RIFF_TAIL: [u8; 12] =
    [0x2E, 0x91, 0xCF, 0x11, 0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0x00, 0x00];
const CHUNK_TAIL: [u8; 12] =
    [0xF3, 0xAC, 0xD3, 0x11, 0x8C, 0xD1, 0x00, 0xC0, 0x4F, 0x8E, 0xDB, 0x8A];

/// What the sizes of chunks look like.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Riff,
    /// RIFF with the great sizes in a chunk of their own.
    Rf64,
    /// 64 bits, counting the header, padded to 8 bytes.
    Wave64,
}

struct Chunk {
    name: [u8; 4],
    /// Where its contents begin.
    at: u64,
    /// Of its contents; none if it was never filled in.
    n_bytes: Option<u64>,
}

/// Whether a file with these first bytes is one of those that [`open`] reads.
pub(super) fn is_wav(start: &[u8]) -> bool {
    form(start).is_some()
}

fn form(start: &[u8]) -> Option<Form> {
    match (start.get(..4)?, start.get(8..12)?) {
        (b"RIFF", b"WAVE") => Some(Form::Riff),
        (b"RF64" | b"BW64", b"WAVE") => Some(Form::Rf64),
        (b"riff", _) if start.get(4..16)? == RIFF_TAIL => {
            let is_wave = start.get(24..28)? == b"wave" && start.get(28..40)? == CHUNK_TAIL;
            is_wave.then_some(Form::Wave64)
        }
        _ => None,
    }
}

/// Walks the chunks up to the samples.
pub(super) fn open(mut audio: Box<dyn MediaSource>) -> Result<Pcm, HeaderError> {
    let mut start = Vec::new();
    (&mut audio).take(40).read_to_end(&mut start)?;
    let form = form(&start).ok_or(HeaderError::Corrupt("it ends within its header"))?;
    let file_bytes = audio.byte_len().unwrap_or(0);
    let riff = form.chunk(&mut audio, 0)?;
    let is_finished = riff.n_bytes.is_some_and(|n| n.saturating_add(riff.at) == file_bytes);
    let mut at = if form == Form::Wave64 { 40 } else { 12 };
    let (mut format, mut fact_frames, mut great_bytes) = (None, None, None);
    for _ in 0..MOST_CHUNKS {
        let Ok(chunk) = form.chunk(&mut audio, at) else { break };
        let n_bytes = chunk.n_bytes.unwrap_or(u64::MAX);
        match &chunk.name {
            b"fmt " => format = Some(read_format(&mut audio, n_bytes)?),
            b"fact" if form == Form::Wave64 && n_bytes >= 8 => {
                fact_frames = Some(u64_le(&mut audio)?);
            }
            b"fact" if n_bytes >= 4 => {
                let n_frames = u32_le(&mut audio)?;
                fact_frames = (n_frames != u32::MAX).then_some(n_frames.into());
            }
            b"ds64" if n_bytes >= 16 => {
                u64_le(&mut audio)?;
                great_bytes = Some(u64_le(&mut audio)?);
            }
            b"data" => {
                let format =
                    format.ok_or(HeaderError::Corrupt("its samples come before their format"))?;
                // A recorder that writes to a pipe cannot go back to fill in the sizes.
                let promised = match (chunk.n_bytes, great_bytes) {
                    (None, Some(0 | u64::MAX)) => None,
                    (None, great_bytes) => great_bytes,
                    (Some(0), _) if !is_finished => None,
                    (n_bytes, _) => n_bytes,
                };
                let mut pcm = Pcm::new(audio, &format, chunk.at, promised)?;
                // ADPCM fills its last block; the fact chunk says how far it counts.
                let counts = promised.is_some() && format.frames_per_block > 1;
                if let Some(n_frames) = fact_frames.filter(|_| counts) {
                    pcm.n_frames = pcm.n_frames.min(n_frames);
                }
                return Ok(pcm);
            }
            _ => {}
        }
        at = form.after(chunk.at, n_bytes);
    }
    Err(HeaderError::Corrupt("it has no samples: there is no 'data' chunk"))
}

impl Form {
    /// Goes to the contents of the chunk at `at`.
    fn chunk(self, audio: &mut (impl Read + Seek), at: u64) -> io::Result<Chunk> {
        audio.seek(SeekFrom::Start(at))?;
        let mut name = [0; 4];
        audio.read_exact(&mut name)?;
        if self != Self::Wave64 {
            let n_bytes = u32_le(audio)?;
            let n_bytes = (n_bytes != u32::MAX).then_some(n_bytes.into());
            return Ok(Chunk { name, at: at + 8, n_bytes });
        }
        let mut tail = [0; 12];
        audio.read_exact(&mut tail)?;
        let n_bytes = u64_le(audio)?;
        // The greatest number, signed or not, is what pipes get.
        let n_bytes = (n_bytes < i64::MAX as u64).then_some(n_bytes.saturating_sub(24));
        let name = if tail == CHUNK_TAIL { name } else { [0; 4] };
        Ok(Chunk { name, at: at + 24, n_bytes })
    }

    /// Where the chunk stands that follows the one with contents at `at`.
    fn after(self, at: u64, n_bytes: u64) -> u64 {
        let unit = if self == Self::Wave64 { 8 } else { 2 };
        at.saturating_add(n_bytes).checked_next_multiple_of(unit).unwrap_or(u64::MAX)
    }
}

/// Reads a `fmt ` chunk.
fn read_format(audio: &mut impl Read, n_bytes: u64) -> Result<Format, HeaderError> {
    if n_bytes < 16 {
        return Err(HeaderError::Corrupt("its format chunk is too short"));
    }
    let mut bytes = [0; 40];
    audio.read_exact(&mut bytes[..n_bytes.min(40) as usize])?;
    let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (channels, block, bits) = (field(2), field(12), field(14));
    let rate_hz = u32::from(field(4)) | u32::from(field(6)) << 16;
    // WAVE_FORMAT_EXTENSIBLE has the tag at the head of the sub-format's GUID.
    let tag = if field(0) == 0xFFFE { field(24) } else { field(0) };
    if channels == 0 {
        return Err(HeaderError::Corrupt("it has no channels"));
    }
    let n_channels = u64::from(channels);
    // The container of a sample; 12 or 20 valid bits stand in 16 or 24, padded below.
    let sample_bytes = match u64::from(block) / n_channels {
        0 => u64::from(bits.div_ceil(8)),
        n => n,
    };
    let adpcm = |header_bytes: u64, frames_in_header: u64| {
        let data_bytes = u64::from(block).checked_sub(header_bytes * n_channels);
        data_bytes.map(|n| n * 2 / n_channels + frames_in_header)
    };
    let (codec, frames_per_block) = match (tag, sample_bytes) {
        (1, 1) => (CODEC_ID_PCM_U8, Some(1)),
        (1, 2) => (CODEC_ID_PCM_S16LE, Some(1)),
        (1, 3) => (CODEC_ID_PCM_S24LE, Some(1)),
        (1, 4) => (CODEC_ID_PCM_S32LE, Some(1)),
        (3, 4) => (CODEC_ID_PCM_F32LE, Some(1)),
        (3, 8) => (CODEC_ID_PCM_F64LE, Some(1)),
        (6, 1) => (CODEC_ID_PCM_ALAW, Some(1)),
        (7, 1) => (CODEC_ID_PCM_MULAW, Some(1)),
        (0x02, _) => (CODEC_ID_ADPCM_MS, adpcm(7, 2)),
        (0x11, _) => (CODEC_ID_ADPCM_IMA_WAV, adpcm(4, 1)),
        _ => {
            let what = format!("WAVE format {tag:#06x} with {bits} bits a sample");
            return Err(HeaderError::Unsupported(what));
        }
    };
    let frames_per_block =
        frames_per_block.ok_or(HeaderError::Corrupt("its ADPCM blocks are too short"))?;
    let block_bytes =
        if frames_per_block == 1 { sample_bytes * n_channels } else { u64::from(block) };
    Ok(Format { codec, channels, rate_hz, block_bytes, frames_per_block })
}

fn u32_le(audio: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    audio.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn u64_le(audio: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    audio.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
