//! MPEG audio, layer III (MP3), decoded here: most recordings come so, and what decodes them
//! has to keep up with what is made of them.
//!
//! Always holds: packets are whole frames of one rate and number of channels; one that is not
//! is an error, and no bits of it lead beyond a buffer.
//! It does not know containers, nor what an encoder put around a recording.

mod bands;
mod bits;
mod codes;
mod filterbank;
mod header;
mod huffman;
mod layer3;
mod side;
mod spectrum;
#[cfg(test)]
mod tests;
mod window;

use symphonia::core::audio::{Audio, AudioBuffer, AudioMut, AudioSpec, Channels};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;

use super::own::Decode;
use header::Header;
use layer3::{Layer3, N_SAMPLES};

const INFO: CodecInfo =
    CodecInfo { short_name: "mp3", long_name: "MPEG Audio Layer 3", profiles: &[] };

pub(super) struct Mp3(Box<Layer3>);

impl Mp3 {
    pub(super) fn new() -> Self {
        Self(Box::new(Layer3::new()))
    }
}

impl Decode for Mp3 {
    fn info(&self) -> &CodecInfo {
        &INFO
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn decode(&mut self, packet: &PacketRef<'_>, buffer: &mut AudioBuffer<f32>) -> Result<()> {
        let header = Header::read(packet.data).ok_or(Error::DecodeError("mp3: no frame"))?;
        let spec = AudioSpec::new(header.rate_hz(), Channels::Discrete(header.n_channels as u16));
        if buffer.is_unused() {
            *buffer = AudioBuffer::new(spec, 2 * N_SAMPLES);
        } else if *buffer.spec() != spec {
            return Err(Error::DecodeError("mp3: another rate or number of channels"));
        }
        buffer.render_silence(Some(header.n_granules() * N_SAMPLES));
        let mut planes: Vec<_> = buffer.iter_planes_mut().collect();
        self.0.decode(&header, packet.data, &mut planes).map_err(Error::DecodeError)
    }
}
