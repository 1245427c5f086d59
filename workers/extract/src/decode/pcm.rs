//! The samples of containers that hold them in blocks of one size, packet by packet.
//!
//! Always holds: only bytes that are there are read, and a packet's size does not follow
//! from what a header claims.
//! It does not know how samples are coded: symphonia's decoders do.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};
use symphonia::core::io::MediaSource;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

/// Frames of one packet, about; a block of ADPCM is never cut.
const PACKET_FRAMES: u64 = 4096;

/// Why a file with a known start cannot be read.
pub(super) enum HeaderError {
    /// The header makes no sense.
    Corrupt(&'static str),
    /// A way to code samples that has no decoder.
    Unsupported(String),
}

impl From<io::Error> for HeaderError {
    fn from(_: io::Error) -> Self {
        Self::Corrupt("it ends within its header")
    }
}

/// What a header says about its samples.
pub(super) struct Format {
    pub(super) codec: AudioCodecId,
    pub(super) channels: u16,
    pub(super) rate_hz: u32,
    pub(super) block_bytes: u64,
    /// 1, but for ADPCM.
    pub(super) frames_per_block: u64,
}

/// An opened file, standing at the first unread block of samples.
pub(super) struct Pcm {
    audio: Box<dyn MediaSource>,
    /// For symphonia's decoder.
    pub(super) params: AudioCodecParameters,
    /// Frames that the header promises, or that are there if it promises nothing.
    pub(super) n_frames: u64,
    block_bytes: u64,
    frames_per_block: u64,
    blocks_left: u64,
}

impl Pcm {
    /// Samples from the byte `at` on; all that is there if no number of bytes is promised.
    pub(super) fn new(
        mut audio: Box<dyn MediaSource>,
        format: &Format,
        at: u64,
        promised_bytes: Option<u64>,
    ) -> Result<Self, HeaderError> {
        audio.seek(SeekFrom::Start(at))?;
        let there = audio.byte_len().unwrap_or(0).saturating_sub(at);
        let promised = promised_bytes.unwrap_or(there);
        let &Format { codec, channels, rate_hz, block_bytes, frames_per_block } = format;
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(codec)
            .with_channels(Channels::Discrete(channels))
            .with_sample_rate(rate_hz)
            .with_frames_per_block(frames_per_block)
            .with_max_frames_per_packet(PACKET_FRAMES.max(frames_per_block));
        Ok(Self {
            audio,
            params,
            n_frames: (promised / block_bytes).saturating_mul(frames_per_block),
            block_bytes,
            frames_per_block,
            blocks_left: promised.min(there) / block_bytes,
        })
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
