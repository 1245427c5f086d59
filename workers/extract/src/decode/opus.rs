//! Opus by libopus, with what its containers leave to the decoder.
//!
//! Always holds: sound comes at 48 kHz, without what the encoder put before it and at the
//! level that it asks for; a packet without bytes is damage, not a length of made-up sound.
//! It does not know more than two channels, nor containers.

use symphonia::core::audio::{Audio, AudioBuffer, AudioMut, Channels, GenericAudioBufferRef};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::RegisterableAudioDecoder;
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;
use symphonia_adapter_libopus::OpusDecoder;

use super::own::Decode;

/// What the identification header says, which all containers carry.
struct Head {
    channels: u8,
    pre_skip_frames: u16,
    gain: f32,
}

impl Head {
    fn read(params: &AudioCodecParameters) -> Option<Self> {
        let head = params.extra_data.as_deref()?.strip_prefix(b"OpusHead")?;
        let field = |at: usize| Some([*head.get(at)?, *head.get(at + 1)?]);
        // Version 0 is MP4's, whose numbers begin with the high byte.
        let number = if head.first() == Some(&0) { u16::from_be_bytes } else { u16::from_le_bytes };
        let gain_db = f32::from(number(field(8)?).cast_signed()) / 256.0;
        Some(Self {
            channels: *head.get(1)?,
            pre_skip_frames: number(field(2)?),
            gain: 10f32.powf(gain_db / 20.0),
        })
    }
}

/// Frames at the start of a stream that are not of the recording.
pub(super) fn pre_skip_frames(params: &AudioCodecParameters) -> u64 {
    Head::read(params).map_or(0, |head| head.pre_skip_frames.into())
}

pub(super) struct Opus {
    libopus: Box<dyn AudioDecoder>,
    frames_to_skip: usize,
    gain: f32,
}

impl Opus {
    pub(super) fn new(
        params: &AudioCodecParameters,
        options: &AudioDecoderOptions,
    ) -> Result<Self> {
        let head = Head::read(params);
        // Without the header, whose frames to skip it takes from the first packet only. Some
        // containers have the rate before encoding, which is for information only.
        let mut bare = AudioCodecParameters { extra_data: None, ..params.clone() };
        bare.with_sample_rate(48_000);
        if let Some(head) = &head {
            bare.with_channels(Channels::Discrete(head.channels.into()));
        }
        Ok(Self {
            libopus: OpusDecoder::try_registry_new(&bare, options)?,
            frames_to_skip: head.as_ref().map_or(0, |head| head.pre_skip_frames.into()),
            gain: head.map_or(1.0, |head| head.gain),
        })
    }
}

impl Decode for Opus {
    fn info(&self) -> &CodecInfo {
        self.libopus.codec_info()
    }

    fn reset(&mut self) {
        self.libopus.reset();
    }

    fn decode(&mut self, packet: &PacketRef<'_>, buffer: &mut AudioBuffer<f32>) -> Result<()> {
        if packet.data.is_empty() {
            return Err(Error::DecodeError("opus: a packet without bytes"));
        }
        let whole = PacketRef::new(packet.track_id, packet.pts, packet.dur, packet.data);
        let GenericAudioBufferRef::F32(decoded) = self.libopus.decode_ref(&whole)? else {
            return Err(Error::Unsupported("opus: samples that are no floats"));
        };
        buffer.clone_from(decoded);
        let skipped = self.frames_to_skip.min(buffer.frames());
        self.frames_to_skip -= skipped;
        let to_usize = |frames: u64| usize::try_from(frames).unwrap_or(usize::MAX);
        let trim_start = to_usize(packet.trim_start.get()).max(skipped);
        buffer.trim(trim_start, to_usize(packet.trim_end.get()));
        buffer.apply(|x| x * self.gain);
        Ok(())
    }
}
