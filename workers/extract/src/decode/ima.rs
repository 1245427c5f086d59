//! IMA ADPCM as WAV has it, each sample computed in the standard's steps, as others do; symphonia
//! multiplies instead, which rounds otherwise.
//!
//! Always holds: a block gives all of its samples, whatever its bits are.

use symphonia::core::audio::{AudioBuffer, AudioMut, AudioSpec};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;

use super::own::Decode;

const INFO: CodecInfo =
    CodecInfo { short_name: "adpcm_ima_wav", long_name: "IMA ADPCM of WAV", profiles: &[] };

/// How the place of a step changes, by the three bits of a magnitude.
const MOVES: [isize; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

#[rustfmt::skip]
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493,
    10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// Decodes blocks of one size.
pub(super) struct Ima {
    spec: AudioSpec,
    frames_per_block: usize,
}

impl Ima {
    pub(super) fn new(params: &AudioCodecParameters) -> Result<Self> {
        let (Some(rate_hz), Some(channels), Some(frames_per_block @ 1..)) =
            (params.sample_rate, &params.channels, params.frames_per_block)
        else {
            return Err(Error::DecodeError("its blocks have no samples"));
        };
        let spec = AudioSpec::new(rate_hz, channels.clone());
        Ok(Self { spec, frames_per_block: frames_per_block as usize })
    }
}

impl Decode for Ima {
    fn info(&self) -> &CodecInfo {
        &INFO
    }

    fn reset(&mut self) {}

    fn decode(&mut self, packet: &PacketRef<'_>, buffer: &mut AudioBuffer<f32>) -> Result<()> {
        let n_frames = usize::try_from(packet.dur.get()).unwrap_or(usize::MAX);
        let n_blocks = (n_frames / self.frames_per_block).min(packet.data.len());
        let block_bytes = packet.data.len() / n_blocks.max(1);
        if buffer.capacity() < n_frames {
            *buffer = AudioBuffer::new(self.spec.clone(), n_frames);
        }
        buffer.render_silence(Some(n_blocks * self.frames_per_block));
        let n_channels = self.spec.channels().count();
        for (channel, plane) in buffer.iter_planes_mut().enumerate() {
            let blocks = packet.data.chunks(block_bytes.max(1));
            for (block, out) in blocks.zip(plane.chunks_mut(self.frames_per_block)) {
                decode_block(block, n_channels, channel, out)?;
            }
        }
        Ok(())
    }
}

/// The samples of one of a block's channels.
fn decode_block(block: &[u8], n_channels: usize, channel: usize, out: &mut [f32]) -> Result<()> {
    let byte = |at: usize| block.get(at).copied().unwrap_or(0);
    let mut value = i32::from(i16::from_le_bytes([byte(4 * channel), byte(4 * channel + 1)]));
    let mut place = usize::from(byte(4 * channel + 2));
    if place >= STEPS.len() {
        return Err(Error::DecodeError("adpcm: a step that there is not"));
    }
    for (i, out) in out.iter_mut().enumerate() {
        // The first one stands in the head, the rest in groups of eight, channel by channel.
        if let Some(i) = i.checked_sub(1) {
            let group = n_channels + i / 8 * n_channels + channel;
            let code = byte(4 * group + i % 8 / 2) >> (i % 2 * 4);
            let step = STEPS[place];
            let parts = [(4, 0), (2, 1), (1, 2)]
                .map(|(bit, shift)| if code & bit == 0 { 0 } else { step >> shift });
            let change = (step >> 3) + parts.iter().sum::<i32>();
            value += if code & 8 == 0 { change } else { -change };
            value = value.clamp(i16::MIN.into(), i16::MAX.into());
            let moved = place.saturating_add_signed(MOVES[usize::from(code & 7)]);
            place = moved.min(STEPS.len() - 1);
        }
        *out = value as f32 / 32_768.0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The channel's samples of a block, as whole numbers.
    fn decoded<const N: usize>(block: &[u8], n_channels: usize, channel: usize) -> [i32; N] {
        let mut out = [0.0; N];
        decode_block(block, n_channels, channel, &mut out).unwrap();
        out.map(|x| (x * 32_768.0) as i32)
    }

    #[test]
    fn parts_of_a_step_are_rounded_one_by_one() {
        // Steps of 7, 16, 34, 31: 7 + 3 + 1 of the first, where a product would be 13.
        let block = [100, 0, 0, 0, 0x77, 0xF0];
        assert_eq!(decoded(&block, 1, 0), [100, 111, 141, 145, 89]);
    }

    #[test]
    fn channels_take_turns() {
        let head = [1, 0, 0, 0, 0xFF, 0xFF, 0, 0];
        let block = [&head[..], &[0x07, 0, 0, 0, 0x0F, 0, 0, 0, 0x70]].concat();
        assert_eq!(decoded(&block, 2, 0), [1, 12, 14, 15, 16, 17, 18, 19, 20, 21, 32]);
        assert_eq!(decoded(&block, 2, 1), [-1, -12, -10, -9, -8, -7, -6, -5, -4, -3, -3]);
    }

    #[test]
    fn what_no_block_has_is_an_error() {
        assert!(decode_block(&[0, 0, 89, 0, 0], 1, 0, &mut [0.0; 3]).is_err());
        assert_eq!(decoded(&[5], 1, 0), [5; 4]);
    }
}
