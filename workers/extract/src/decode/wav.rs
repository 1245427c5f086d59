//! RIFF WAVE, read the way recorders write it: sizes that were never filled in, chunks in
//! any order, more promised than there is.
//!
//! Always holds: only bytes that are there are read, and a packet's size does not follow
//! from what a header claims.
//! It does not know how samples are coded: symphonia's decoders do.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};
use symphonia::core::io::MediaSource;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

/// Frames of one packet, about; a block of ADPCM is never cut.
const PACKET_FRAMES: u64 = 4096;

/// Why a file that starts as a RIFF WAVE cannot be read.
pub(super) enum WavError {
    /// The chunks make no sense.
    Corrupt(&'static str),
    /// A way to code samples that has no decoder.
    Unsupported(String),
}

impl From<io::Error> for WavError {
    fn from(_: io::Error) -> Self {
        Self::Corrupt("it ends within its header")
    }
}

/// An opened RIFF WAVE, standing at the first unread block of samples.
pub(super) struct Wav {
    audio: Box<dyn MediaSource>,
    /// For symphonia's decoder.
    pub(super) params: AudioCodecParameters,
    /// Frames that the header promises, or that are there if it promises nothing.
    pub(super) n_frames: u64,
    block_bytes: u64,
    frames_per_block: u64,
    blocks_left: u64,
}

/// What the `fmt ` chunk says.
struct Format {
    params: AudioCodecParameters,
    block_bytes: u64,
    frames_per_block: u64,
}

/// Whether a file with these first bytes is a RIFF WAVE.
pub(super) fn is_wav(start: &[u8]) -> bool {
    start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WAVE")
}

impl Wav {
    /// Walks the chunks up to the samples.
    pub(super) fn open(mut audio: Box<dyn MediaSource>) -> Result<Self, WavError> {
        let n_bytes = audio.byte_len().unwrap_or(0);
        let riff_bytes = chunk_header(&mut audio, 0)?.1;
        let finished = u64::from(riff_bytes) + 8 == n_bytes;
        let (mut format, mut fact_frames, mut at) = (None, None, 12);
        loop {
            let Ok((id, size)) = chunk_header(&mut audio, at) else {
                return Err(WavError::Corrupt("it has no samples: there is no 'data' chunk"));
            };
            let size = u64::from(size);
            match &id {
                b"fmt " => format = Some(Format::read(&mut audio, size)?),
                b"fact" if size >= 4 => fact_frames = Some(u64::from(u32_le(&mut audio)?)),
                b"data" => {
                    let format =
                        format.ok_or(WavError::Corrupt("its samples come before their format"))?;
                    let there = n_bytes.saturating_sub(at + 8);
                    // A recorder that writes to a pipe cannot go back to fill in the sizes.
                    let unknown = size == u64::from(u32::MAX) || (size == 0 && !finished);
                    let promised = if unknown { there } else { size };
                    let Format { params, block_bytes, frames_per_block } = format;
                    let blocks_left = promised.min(there) / block_bytes;
                    let in_blocks = promised / block_bytes * frames_per_block;
                    // ADPCM fills its last block; the fact chunk says how far it counts.
                    let n_frames = match fact_frames {
                        Some(n) if frames_per_block > 1 && !unknown => in_blocks.min(n),
                        _ => in_blocks,
                    };
                    return Ok(Self {
                        audio,
                        params,
                        n_frames,
                        block_bytes,
                        frames_per_block,
                        blocks_left,
                    });
                }
                _ => {}
            }
            at += 8 + size + size % 2;
        }
    }

    /// The next samples; none at their end.
    pub(super) fn next_packet(&mut self) -> io::Result<Option<Packet>> {
        let blocks = (PACKET_FRAMES / self.frames_per_block).max(1).min(self.blocks_left);
        if blocks == 0 {
            return Ok(None);
        }
        self.blocks_left -= blocks;
        let mut bytes = vec![0; (blocks * self.block_bytes) as usize];
        self.audio.read_exact(&mut bytes)?;
        let frames = blocks * self.frames_per_block;
        Ok(Some(Packet::new(0, Timestamp::ZERO, Duration::from(frames), bytes)))
    }
}

impl Format {
    fn read(audio: &mut impl Read, size: u64) -> Result<Self, WavError> {
        if size < 16 {
            return Err(WavError::Corrupt("its format chunk is too short"));
        }
        let mut bytes = [0; 40];
        audio.read_exact(&mut bytes[..size.min(40) as usize])?;
        let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (channels, block, bits) = (field(2), field(12), field(14));
        let rate_hz = u32::from(field(4)) | u32::from(field(6)) << 16;
        // WAVE_FORMAT_EXTENSIBLE has the tag at the head of the sub-format's GUID.
        let tag = if field(0) == 0xFFFE { field(24) } else { field(0) };
        if channels == 0 {
            return Err(WavError::Corrupt("it has no channels"));
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
                return Err(WavError::Unsupported(format!(
                    "WAVE format {tag:#06x} with {bits} bits a sample"
                )));
            }
        };
        let frames_per_block =
            frames_per_block.ok_or(WavError::Corrupt("its ADPCM blocks are too short"))?;
        let block_bytes =
            if frames_per_block == 1 { sample_bytes * n_channels } else { u64::from(block) };
        Ok(Self {
            params: params(codec, channels, rate_hz, frames_per_block),
            block_bytes,
            frames_per_block,
        })
    }
}

fn params(
    codec: AudioCodecId,
    channels: u16,
    rate_hz: u32,
    frames_per_block: u64,
) -> AudioCodecParameters {
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(codec)
        .with_channels(Channels::Discrete(channels))
        .with_sample_rate(rate_hz)
        .with_frames_per_block(frames_per_block)
        .with_max_frames_per_packet(PACKET_FRAMES.max(frames_per_block));
    params
}

/// Goes to the chunk at `at` and reads its name and size in bytes.
fn chunk_header(audio: &mut (impl Read + Seek), at: u64) -> io::Result<([u8; 4], u32)> {
    audio.seek(SeekFrom::Start(at))?;
    let mut id = [0; 4];
    audio.read_exact(&mut id)?;
    Ok((id, u32_le(audio)?))
}

fn u32_le(audio: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    audio.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
