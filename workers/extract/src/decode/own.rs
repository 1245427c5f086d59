//! Decoders that are not symphonia's, behind its interface.
//!
//! Always holds: a packet gives all of its samples, or is an error and gives none.

use symphonia::core::audio::{AsGenericAudioBufferRef, AudioBuffer, GenericAudioBufferRef};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::Result;
use symphonia::core::packet::PacketRef;

/// What decodes packets.
pub(super) trait Decode: Send + Sync {
    fn info(&self) -> &CodecInfo;

    /// Forgets the packets before.
    fn reset(&mut self);

    /// Puts the samples of a packet into a buffer, which is empty.
    fn decode(&mut self, packet: &PacketRef<'_>, buffer: &mut AudioBuffer<f32>) -> Result<()>;
}

pub(super) struct Own<D> {
    decoder: D,
    params: AudioCodecParameters,
    buffer: AudioBuffer<f32>,
}

impl<D: Decode + 'static> Own<D> {
    pub(super) fn boxed(decoder: D, params: &AudioCodecParameters) -> Box<dyn AudioDecoder> {
        Box::new(Self { decoder, params: params.clone(), buffer: AudioBuffer::default() })
    }
}

impl<D: Decode> AudioDecoder for Own<D> {
    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        self.decoder.info()
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        if let Err(error) = self.decoder.decode(packet, &mut self.buffer) {
            self.buffer.clear();
            return Err(error);
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}
