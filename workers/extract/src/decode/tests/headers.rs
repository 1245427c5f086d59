//! Headers as recorders leave them, and as they lie.

use super::*;

pub(super) fn position(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

fn patched(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

fn whole(bytes: Vec<u8>) {
    let decoded = decode_bytes(bytes).unwrap();
    assert_eq!(recording(&decoded), voice(16_000));
    assert_eq!(decoded.warnings, []);
}

fn truncated(bytes: Vec<u8>) {
    let decoded = decode_bytes(bytes).unwrap();
    assert_eq!(recording(&decoded), voice(16_000));
    assert_eq!(decoded.warnings, [Warning::Truncated]);
}

pub(super) fn rejected(bytes: Vec<u8>, code: &str) {
    assert_eq!(decode_bytes(bytes).err().unwrap().code, code);
}

#[test]
fn wav_headers_are_read_as_recorders_write_them() {
    let (voice, plain) = (voice(16_000), fixture("s16.wav"));
    let data = position(&plain, b"data");
    let size = |riff: u32, samples: u32| {
        let mut bytes = plain.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[data + 4..data + 8].copy_from_slice(&samples.to_le_bytes());
        bytes
    };
    let n_bytes = (plain.len() - data - 8) as u32;
    // Written to a pipe, or never finished.
    whole(size(u32::MAX, u32::MAX));
    whole(size(0, 0));
    // A wrong size around right samples.
    whole(size(4, n_bytes));
    // Chunks of odd and even size before the format, and more after the samples.
    let junk: &[u8] = b"LIST\x05\0\0\0abcde\0junk\x06\0\0\0uvwxyz";
    let mut chunks = [&plain[..12], junk, &plain[12..]].concat();
    chunks.extend(b"bext\x04\0\0\0\xff\xff\xff\xff");
    whole(chunks);
    // A third of the samples.
    let third = decode_bytes(plain[..data + 8 + n_bytes as usize / 3].to_vec()).unwrap();
    assert_eq!(recording(&third), &voice[..voice.len() / 3]);
    assert_eq!(third.warnings, [Warning::Truncated]);
}

#[test]
fn a_riff_without_samples_ends_soon() {
    let zeros = [&fixture("s16.wav")[..36], &[0; 1 << 20]].concat();
    rejected(zeros, "corrupt");
}

#[test]
fn rf64_keeps_its_great_sizes_in_a_chunk() {
    let plain = fixture("rf64.wav");
    let (great, data) = (position(&plain, b"ds64") + 16, position(&plain, b"data") + 4);
    let n_bytes = (plain.len() - data - 4) as u64;
    whole(patched(&plain, 0, b"BW64"));
    whole(patched(&plain, great, &[0; 8]));
    whole(patched(&plain, great, &[0xFF; 8]));
    // A recorder that filled in both.
    whole(patched(&plain, data, &(n_bytes as u32).to_le_bytes()));
    truncated(patched(&plain, great, &(2 * n_bytes).to_le_bytes()));
    truncated(patched(&plain, great, &(u64::MAX - 1).to_le_bytes()));
}

#[test]
fn wave64_chunks_cannot_stand_still() {
    let plain = fixture("s16.w64");
    let data = position(&plain, b"data");
    let n_bytes = (plain.len() - data) as u64;
    let size = |n: u64| patched(&plain, data + 16, &n.to_le_bytes());
    for unknown in [i64::MAX as u64, u64::MAX] {
        whole(size(unknown));
        // The size of the whole was not filled in either.
        whole(patched(&size(unknown), 16, &unknown.to_le_bytes()));
    }
    whole(patched(&size(24), 16, &[0; 8]));
    truncated(size(2 * n_bytes));
    truncated(size(i64::MAX as u64 - 1));
    let chunk = |name: &[u8; 4], n: u64, body: &[u8]| {
        let tail = &plain[data + 4..data + 16];
        [&plain[..40], name, tail, &n.to_le_bytes(), body, &plain[40..]].concat()
    };
    whole(chunk(b"junk", 29, b"abcde\0\0\0"));
    for less_than_a_header in [0, 1, 23, 24] {
        whole(chunk(b"junk", less_than_a_header, b""));
    }
    for beyond_the_end in [1 << 40, u64::MAX - 7, u64::MAX] {
        rejected(chunk(b"junk", beyond_the_end, b""), "corrupt");
    }
    rejected(chunk(b"data", 24, b""), "corrupt");
    rejected(patched(&plain, 24, b"wxyz"), "unknown_format");
}

#[test]
fn au_headers_cost_nothing() {
    let plain = fixture("s16.au");
    let n_bytes = plain.len() as u32 - 24;
    let field = |i: usize, value: u32| patched(&plain, 4 * i, &value.to_be_bytes());
    whole(field(2, u32::MAX));
    whole(field(2, 0));
    truncated(field(2, 2 * n_bytes));
    truncated(field(2, u32::MAX - 1));
    let annotated = [&plain[..24], b"recorded", &plain[24..]].concat();
    whole(patched(&annotated, 4, &32u32.to_be_bytes()));
    for (i, value, code) in [
        (1, 23, "corrupt"),
        (1, u32::MAX, "no_samples"),
        (3, 23, "unsupported_codec"),
        (4, 0, "unsupported_rate"),
        (4, 4_000_000_000, "unsupported_rate"),
        (5, 0, "corrupt"),
        (5, 255, "unsupported_channels"),
        (5, u32::MAX, "unsupported_channels"),
    ] {
        rejected(field(i, value), code);
    }
}

#[test]
fn opus_headers_are_heeded() {
    let plain = fixture("opus.webm");
    let head = position(&plain, b"OpusHead");
    let decoded = decode_bytes(plain.clone()).unwrap();
    let all = recording(&decoded);
    // More than a packet's frames come before the recording.
    let later = decode_bytes(patched(&plain, head + 10, &3000u16.to_le_bytes())).unwrap();
    assert_eq!(recording(&later), &all[3000 - 312..]);
    // 6 dB more.
    let louder = decode_bytes(patched(&plain, head + 16, &1536i16.to_le_bytes())).unwrap();
    for (louder, x) in recording(&louder).iter().zip(all) {
        assert!((louder - 1.9953 * x).abs() < 1e-4);
    }
    for channels in [0, 6, 255] {
        rejected(patched(&plain, head + 9, &[channels]), "unsupported_codec");
    }
    rejected(patched(&plain, head + 10, &[0xFF; 2]), "no_samples");
}

#[test]
fn edit_lists_are_heeded() {
    let plain = fixture("aac.m4a");
    let list = position(&plain, b"elst");
    let edited = |ms: u32, start: u32| {
        let edit = [ms.to_be_bytes(), start.to_be_bytes()].concat();
        decode_bytes(patched(&plain, list + 12, &edit)).unwrap()
    };
    let all = edited(0, 0);
    assert_eq!(recording(&all).len(), 14_400 + 1024);
    assert_eq!(recording(&edited(900, 1024)), &recording(&all)[1024..]);
    assert_eq!(recording(&edited(0, 1024)), &recording(&all)[1024..]);
    assert_eq!(recording(&edited(499, 1024)), &recording(&all)[1024..9024]);
    // A pause, which is no part of it, and parts that there are not.
    for start in [u32::MAX, u32::MAX - 1, 15_424] {
        assert_eq!(recording(&edited(900, start)), recording(&all));
    }
    let none = patched(&plain, list + 8, &[0; 4]);
    assert_eq!(recording(&decode_bytes(none).unwrap()), recording(&all));
}

#[test]
fn padding_of_the_last_block_is_left_out() {
    let plain = fixture("opus.webm");
    let padding = position(&plain, &[0x75, 0xA2, 0x84]) + 3;
    let all = decode_bytes(plain.clone()).unwrap();
    let with = |ns: i32| decode_bytes(patched(&plain, padding, &ns.to_be_bytes()));
    // 648 frames of 48 kHz are 13.5 ms.
    for (ns, surplus) in [(0, 648), (-1, 648), (i32::MIN, 648), (13_500_000, 0), (1_000_000, 600)] {
        let found = with(ns).unwrap();
        assert_eq!(recording(&found).len(), recording(&all).len() + surplus, "{ns}");
    }
    assert_eq!(with(i32::MAX).err().unwrap().code, "no_samples");
}

/// Only the first of several streams, one after the other, is read.
#[test]
fn chained_streams_are_damage() {
    let first = decode_bytes(fixture("opus.ogg")).unwrap();
    for next in ["vorbis.ogg", "opus.ogg"] {
        let chained = [fixture("opus.ogg"), fixture(next)].concat();
        let decoded = decode_bytes(chained).unwrap();
        assert_eq!(recording(&decoded), recording(&first), "{next}");
        assert_eq!(decoded.warnings, [Warning::Damaged], "{next}");
    }
}

#[test]
fn codecs_without_a_decoder_are_named() {
    let plain = fixture("opus.webm");
    let codec = |name: &[u8; 6]| patched(&plain, position(&plain, b"A_OPUS"), name);
    for (bytes, words) in [
        (codec(b"A_EAC3"), "AC-3 (Dolby Digital) cannot be decoded; convert it"),
        (codec(b"A_TTA1"), "of a kind that voxage has no decoder for, cannot be decoded"),
        (patched(&plain, position(&plain, b"OpusHead") + 9, &[6]), "Opus of other than one or two"),
    ] {
        let reject = decode_bytes(bytes).err().unwrap();
        assert_eq!(reject.code, "unsupported_codec", "{reject:?}");
        assert!(reject.message.contains(words), "{reject:?}");
    }
    rejected(codec(b"A_WHAT"), "no_audio");
}

#[test]
fn numbers_beyond_all_measure_are_clipped() {
    let wav = |tag: u8, bytes: u8, samples: &[u8]| {
        let mut wav = wav_bytes(&[], 16_000);
        (wav[20], wav[32], wav[34]) = (tag, bytes, 8 * bytes);
        wav[40..44].copy_from_slice(&(samples.len() as u32).to_le_bytes());
        wav.extend(samples);
        wav
    };
    let (singles, doubles) = (
        |x: f32| wav(3, 4, &[0.5, x, -0.5].map(f32::to_le_bytes).concat()),
        |x: f64| wav(3, 8, &[0.5, x, -0.5].map(f64::to_le_bytes).concat()),
    );
    for (bytes, sample, warnings) in [
        (singles(1e20), 0.0, &[Warning::Clipped][..]),
        (doubles(1e20), 0.0, &[Warning::Clipped]),
        (doubles(-1e300), 0.0, &[Warning::Clipped]),
        (singles(f32::INFINITY), 0.0, &[Warning::NonFinite]),
        (doubles(f64::NEG_INFINITY), 0.0, &[Warning::NonFinite]),
        (doubles(f64::NAN), 0.0, &[Warning::NonFinite]),
        (doubles(1e5), 1e5, &[]),
        (doubles(0.1), 0.1f64 as f32, &[]),
    ] {
        let decoded = decode_bytes(bytes).unwrap();
        assert_eq!(decoded.channels, [[0.5, sample, -0.5]]);
        assert_eq!(decoded.warnings, warnings);
    }
}
