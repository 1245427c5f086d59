//! The same synthetic voice in every format against its samples; what recorders and
//! networks make of files.

mod damage;
mod headers;

use std::io::{Cursor, Error, Read, Result as IoResult, Seek, SeekFrom};
use std::path::Path;

use voxage_contract::Gender;

use super::*;
use crate::synth::{Speaker, wav_bytes};

pub(super) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new("tests/formats").join(name)).unwrap()
}

/// The voice that all fixtures hold, rounded to 16 bits.
fn voice(rate_hz: u32) -> Vec<f32> {
    let voice = Speaker::new(7, 45.0, Gender::Female).utter(0, 0.9, rate_hz);
    voice.iter().map(|x| (x * 32_767.0).round() / 32_768.0).collect()
}

/// A recording with all its samples.
#[derive(Debug)]
struct Decoded {
    info: AudioInfo,
    channels: Vec<Vec<f32>>,
    recording: Range<usize>,
    warnings: Vec<Warning>,
}

fn decode<R: Read + Seek + Send + 'static>(audio: R) -> Result<Decoded, Reject> {
    let recording = Recording::open(audio, &Limits::default(), false)?;
    let mut channels = vec![Vec::new(); usize::from(recording.info.channels)];
    recording.play(|at, block| {
        assert_eq!(at, channels[0].len());
        for (channel, block) in channels.iter_mut().zip(block) {
            channel.extend_from_slice(block);
        }
    })?;
    let Recording { info, range, warnings, .. } = recording;
    Ok(Decoded { info, channels, recording: range, warnings })
}

fn decode_bytes(bytes: Vec<u8>) -> Result<Decoded, Reject> {
    decode(Cursor::new(bytes))
}

fn recording(decoded: &Decoded) -> &[f32] {
    &decoded.channels[0][decoded.recording.clone()]
}

/// Greatest normalised correlation with `voice` and the delay at which it is found.
fn alignment(decoded: &[f32], voice: &[f32]) -> (f64, usize) {
    let at = |delay: usize| {
        let pairs =
            || decoded[delay..].iter().zip(voice).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let energy: (f64, f64) = pairs().fold((0.0, 0.0), |e, (a, b)| (e.0 + a * a, e.1 + b * b));
        pairs().map(|(a, b)| a * b).sum::<f64>() / (energy.0 * energy.1).sqrt()
    };
    let delays = (0..3000.min(decoded.len() / 2)).map(|delay| (at(delay), delay));
    delays.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[test]
fn lossless_formats_give_the_very_samples() {
    for (name, codec) in [
        ("s16.wav", "pcm_s16le"),
        ("s24.wav", "pcm_s24le"),
        ("s32.wav", "pcm_s32le"),
        ("f32.wav", "pcm_f32le"),
        ("f64.wav", "pcm_f64le"),
        ("extensible.wav", "pcm_s24le"),
        ("s16.flac", "flac"),
        ("s24.flac", "flac"),
        ("s16.aiff", "pcm_s16be"),
        ("s16.caf", "pcm_s16be"),
        ("s16.au", "pcm_s16be"),
        ("s24.au", "pcm_s24be"),
        ("f64.au", "pcm_f64be"),
        ("rf64.wav", "pcm_s16le"),
        ("s16.w64", "pcm_s16le"),
        ("alac.caf", "alac"),
        ("alac.m4a", "alac"),
    ] {
        let decoded = decode_bytes(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let rate_hz = if name.starts_with("f64") { 8_000 } else { 16_000 };
        assert_eq!(decoded.info.sample_rate_hz, rate_hz, "{name}");
        assert_eq!(decoded.info.codec, codec, "{name}");
        assert_eq!(decoded.warnings, [], "{name}");
        let (found, voice) = (recording(&decoded), voice(rate_hz));
        // Apple's container counts whole packets.
        assert_eq!(found[..voice.len()], voice, "{name}");
        assert!(found[voice.len()..].iter().all(|&x| x == 0.0), "{name}");
        assert!(found.len() == voice.len() || name.starts_with("alac"), "{name}: {}", found.len());
    }
}

#[test]
fn lossy_formats_give_about_the_samples_without_delay() {
    for (name, codec, rate_hz, likeness, delay) in [
        ("u8.wav", "pcm_u8", 16_000, 0.998, 0),
        ("alaw.wav", "pcm_alaw", 16_000, 0.999, 0),
        ("mulaw.wav", "pcm_mulaw", 16_000, 0.999, 0),
        ("alaw.au", "pcm_alaw", 16_000, 0.999, 0),
        ("mulaw.au", "pcm_mulaw", 16_000, 0.999, 0),
        ("ima.wav", "adpcm_ima_wav", 16_000, 0.99, 0),
        ("ima.w64", "adpcm_ima_wav", 16_000, 0.99, 0),
        ("ms.wav", "adpcm_ms", 16_000, 0.99, 0),
        ("vorbis.ogg", "vorbis", 16_000, 0.98, 0),
        ("cbr.mp3", "mp3", 16_000, 0.98, 0),
        ("mpeg25.mp3", "mp3", 8_000, 0.95, 0),
        ("aac.m4a", "aac", 16_000, 0.95, 0),
        ("aac.mkv", "aac", 16_000, 0.95, 0),
        // Without a container nothing says how much its encoder put before the recording.
        ("aac.aac", "aac", 16_000, 0.95, 1024),
    ] {
        let decoded = decode_bytes(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!((decoded.info.codec.as_str(), decoded.info.sample_rate_hz), (codec, rate_hz));
        assert_eq!(decoded.warnings, [], "{name}");
        let (found, at) = alignment(recording(&decoded), &voice(rate_hz));
        assert!(found > likeness && at == delay, "{name}: {found} at {at}");
        let surplus = recording(&decoded).len() - voice(rate_hz).len();
        assert!(surplus <= delay + 1024, "{name}: {surplus} samples more");
    }
    let decoded = decode_bytes(fixture("vbr.mp3")).unwrap();
    assert_eq!(decoded.info.sample_rate_hz, 44_100);
    assert!((decoded.info.duration_s - 0.9).abs() < 1e-4, "{}", decoded.info.duration_s);
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let html = b"<html><body>404: no such recording</body></html>".to_vec();
    let header_only = wav_bytes(&[], 16_000);
    let mut odd_rate = wav_bytes(&[0.1; 100], 1000);
    for (bytes, code) in [
        (Vec::new(), "empty_audio"),
        (html, "unknown_format"),
        (header_only, "no_samples"),
        (fixture("s16.au")[..20].to_vec(), "corrupt"),
        (fixture("s16.w64")[..50].to_vec(), "corrupt"),
        (odd_rate.clone(), "unsupported_rate"),
        (fixture("s16.wav")[..20].to_vec(), "corrupt"),
    ] {
        let reject = decode_bytes(bytes.clone()).err().unwrap();
        assert_eq!((reject.stage.as_str(), reject.code.as_str()), ("decode", code));
        assert!(reject.message.contains(';'), "no advice: {}", reject.message);
        assert_eq!(probe(Cursor::new(bytes)).err().unwrap().code, code);
    }
    // A rate of 4 GHz and 65535 channels cost nothing.
    odd_rate[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode_bytes(odd_rate.clone()).err().unwrap().code, "unsupported_rate");
    odd_rate[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(decode_bytes(odd_rate).is_err());
}

/// Opus is decoded at 48 kHz, three samples for one of the voice.
#[test]
fn opus_begins_and_ends_as_its_container_says() {
    for name in ["opus.ogg", "opus.webm", "opus.mp4"] {
        let decoded = decode_bytes(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let AudioInfo { codec, sample_rate_hz, channels, .. } = &decoded.info;
        assert_eq!((codec.as_str(), *sample_rate_hz, *channels), ("opus", 48_000, 1));
        assert_eq!(decoded.warnings, [], "{name}");
        let found: Vec<_> = recording(&decoded).iter().copied().step_by(3).collect();
        let (likeness, delay) = alignment(&found, &voice(16_000));
        assert!(likeness > 0.94 && delay == 0, "{name}: {likeness} at {delay}");
        assert_eq!(recording(&decoded).len(), 3 * voice(16_000).len(), "{name}");
    }
}

#[test]
fn probing_tells_what_a_file_is() {
    let info = probe(Cursor::new(fixture("s24.flac"))).unwrap();
    let expected = AudioInfo {
        codec: "flac".into(),
        sample_rate_hz: 16_000,
        channels: 1,
        duration_s: 0.9,
        ..AudioInfo::default()
    };
    assert_eq!(info, expected);
}

#[test]
fn the_hash_is_of_the_file() {
    let decoded = decode_bytes(fixture("s16.flac")).unwrap();
    use sha2::{Digest, Sha256};
    let hash = voxage_contract::digest::hex(&Sha256::digest(fixture("s16.flac")));
    assert_eq!(decoded.info.sha256, hash);
}

/// Fails once `good` bytes are read.
struct Failing {
    bytes: Cursor<Vec<u8>>,
    good: u64,
}

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> IoResult<usize> {
        if self.bytes.position() >= self.good {
            return Err(Error::other("connection reset"));
        }
        self.bytes.read(buf)
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        self.bytes.seek(to)
    }
}

#[test]
fn a_failing_reader_is_not_a_damaged_file() {
    for name in ["s16.wav", "cbr.mp3", "s16.flac"] {
        let failing = || Failing { bytes: Cursor::new(fixture(name)), good: 0 };
        for reject in [decode(failing()).err(), probe(failing()).err()] {
            let reject = reject.unwrap();
            assert_eq!((reject.stage.as_str(), reject.code.as_str()), ("fetch", "read_failed"));
            assert!(reject.message.contains("connection reset"));
        }
    }
}
