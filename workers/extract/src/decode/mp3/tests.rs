//! Beside symphonia's decoder, on frames as encoders write them and on broken ones.

use std::io::Cursor;

use proptest::prelude::*;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::FormatReader;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;
use symphonia::default::{get_codecs, get_probe};

use super::super::own::Own;
use super::super::tests::fixture;
use super::*;

const FIXTURES: [&str; 4] = ["cbr.mp3", "mpeg25.mp3", "vbr.mp3", "joint.mp3"];

fn frames(name: &str) -> (AudioCodecParameters, Vec<Packet>) {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(fixture(name))), Default::default());
    let probed = get_probe().probe(&Hint::new(), stream, Default::default(), Default::default());
    let mut reader: Box<dyn FormatReader> = probed.unwrap();
    let Some(CodecParameters::Audio(params)) = reader.tracks()[0].codec_params.clone() else {
        panic!("{name} has no audio");
    };
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        frames.push(packet);
    }
    (params, frames)
}

/// The samples of all channels of each frame; none of one that is an error.
fn decoded(decoder: &mut dyn AudioDecoder, frames: &[Packet]) -> Vec<Option<Vec<Vec<f32>>>> {
    let frame = |packet: &Packet| {
        let mut planes = Vec::new();
        decoder.decode(packet).ok()?.copy_to_vecs_planar(&mut planes);
        Some(planes)
    };
    frames.iter().map(frame).collect()
}

fn both(params: &AudioCodecParameters, frames: &[Packet]) -> [Vec<Option<Vec<Vec<f32>>>>; 2] {
    let options = AudioDecoderOptions::default().gapless(false);
    let mut other = get_codecs().make_audio_decoder(params, &options).unwrap();
    [decoded(Own::boxed(Mp3::new(), params).as_mut(), frames), decoded(other.as_mut(), frames)]
}

fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let samples = |x: &[Vec<f32>]| x.concat();
    let (a, b) = (samples(a), samples(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn frames_give_the_samples_that_they_give_elsewhere() {
    for name in FIXTURES {
        let (params, frames) = frames(name);
        let [ours, others] = both(&params, &frames);
        assert!(ours.len() > 10);
        for (ours, others) in ours.iter().zip(&others) {
            let distance = distance(ours.as_ref().unwrap(), others.as_ref().unwrap());
            assert!(distance < 2e-6, "{name}: {distance}");
        }
    }
}

/// In all ways that frames can say that they have something in common.
#[test]
fn joint_channels_are_told_apart() {
    let (params, mut frames) = frames("joint.mp3");
    for joint in 0..4 {
        for frame in &mut frames {
            let mut data = frame.data.to_vec();
            data[3] = data[3] & 0xCF | joint << 4;
            // Fewer values of the second channel than of the first.
            let side = &mut data[4..36];
            for part in [79, 197] {
                put(side, part, 12, 180);
                put(side, part + 12, 9, 10);
            }
            frame.data = data.into();
        }
        let [ours, others] = both(&params, &frames);
        let pairs = || ours.iter().zip(&others).filter_map(|(a, b)| a.as_ref().zip(b.as_ref()));
        assert!(pairs().count() > 10);
        for (ours, others) in pairs() {
            let distance = distance(ours, others);
            assert!(distance < 5e-6, "{joint}: {distance}");
        }
    }
}

/// Puts a number of some bits into the place of others.
fn put(bytes: &mut [u8], at: usize, n_bits: usize, number: usize) {
    for i in 0..n_bits {
        let (byte, mask) = (&mut bytes[(at + i) / 8], 0x80 >> ((at + i) % 8));
        *byte = if number >> (n_bits - 1 - i) & 1 == 1 { *byte | mask } else { *byte & !mask };
    }
}

proptest! {
    #[test]
    fn broken_frames_do_no_harm(
        name in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..200usize, any::<u8>()), 1..20),
    ) {
        let (params, mut frames) = frames(FIXTURES[name]);
        for (frame, at, byte) in changes {
            let frame = frame.get_mut(&mut frames);
            let mut data = frame.data.to_vec();
            let at = at % data.len();
            data[at] = byte;
            frame.data = data.into();
        }
        for planes in decoded(Own::boxed(Mp3::new(), &params).as_mut(), &frames).iter().flatten() {
            prop_assert!(planes.iter().all(|plane| plane.len() == planes[0].len()));
            prop_assert!(planes.concat().iter().all(|x| x.is_finite()));
        }
    }
}
