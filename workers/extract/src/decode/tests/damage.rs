//! Files that lack a part, in the middle or at the end.

use symphonia::core::checksum::Crc32;
use symphonia::core::io::Monitor;

use super::headers::{position, rejected};
use super::*;

/// Frames of a packet in `opus.ogg`.
const OPUS_FRAMES: usize = 960;

/// A page that carries one packet, or begins an empty stream.
fn page(stream: u32, number: u32, flags: u8, granule: u64, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(stream.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push((packet.len() / 255 + 1) as u8);
    page.extend(vec![255; packet.len() / 255]);
    page.push((packet.len() % 255) as u8);
    page.extend(packet);
    let mut sum = Crc32::new(0);
    sum.process_buf_bytes(&page);
    page[22..26].copy_from_slice(&sum.crc().to_le_bytes());
    page
}

/// The pages of `opus.ogg` if each had but one packet.
fn opus_pages() -> Vec<Vec<u8>> {
    let (bytes, mut packets, mut at) = (fixture("opus.ogg"), vec![Vec::new()], 0);
    while at < bytes.len() {
        let n_segments = usize::from(bytes[at + 26]);
        let segments = at + 27..at + 27 + n_segments;
        at = segments.end;
        for segment in bytes[segments].iter().map(|&n| usize::from(n)) {
            packets.last_mut().unwrap().extend(&bytes[at..at + segment]);
            at += segment;
            if segment < 255 {
                packets.push(Vec::new());
            }
        }
    }
    packets.pop();
    let (last, n_frames) = (packets.len() - 1, 43_512);
    let pages = packets.iter().enumerate().map(|(i, packet)| {
        let granule = OPUS_FRAMES * i.saturating_sub(1);
        let (flags, granule) = if i == last { (4, n_frames) } else { (0, granule as u64) };
        page(7, i as u32, if i == 0 { 2 } else { flags }, granule, packet)
    });
    pages.collect()
}

/// Flips a bit in the middle of each of these pages.
fn broken(pages: &[Vec<u8>], which: &[usize]) -> Vec<u8> {
    let mut pages = pages.to_vec();
    for &i in which {
        let middle = pages[i].len() / 2;
        pages[i][middle] ^= 0x10;
    }
    pages.concat()
}

#[test]
fn a_broken_ogg_page_costs_its_samples() {
    let pages = opus_pages();
    let whole = decode_bytes(pages.concat()).unwrap();
    assert_eq!(recording(&whole), recording(&decode_bytes(fixture("opus.ogg")).unwrap()));
    assert_eq!(whole.warnings, []);
    for which in [&[20][..], &[2], &[10, 11, 12, 30], &[2, 4, 6, 8, 10, 12, 14, 16, 18, 44]] {
        let damaged = decode_bytes(broken(&pages, which)).unwrap();
        let n_lost = recording(&whole).len() - recording(&damaged).len();
        assert!(n_lost.abs_diff(which.len() * OPUS_FRAMES) <= 312, "{which:?}: {n_lost}");
        assert!(damaged.warnings.contains(&Warning::Damaged), "{which:?}");
        let missing = pages.iter().enumerate().filter(|(i, _)| !which.contains(i));
        let missing = missing.flat_map(|(_, page)| page.clone()).collect();
        let lacking = decode_bytes(missing).unwrap();
        assert_eq!(lacking.channels, damaged.channels, "{which:?}");
        assert_eq!(lacking.warnings, damaged.warnings, "{which:?}");
    }
    // A header that claims a page of all bytes that follow.
    let mut greedy = pages;
    greedy[20][26] = 255;
    assert_eq!(decode_bytes(greedy.concat()).unwrap().warnings, [Warning::Damaged]);
}

#[test]
fn an_ogg_file_without_its_end_is_truncated() {
    let pages = opus_pages();
    let n = pages.len();
    let all = pages.concat();
    let without_last = all.len() - pages[n - 1].len();
    // Without the last page, without a part of it, and with it broken.
    for bytes in [all[..without_last].into(), all[..all.len() - 1].into(), broken(&pages, &[n - 1])]
    {
        let decoded = decode_bytes(bytes).unwrap();
        assert_eq!(decoded.warnings, [Warning::Truncated]);
        assert_eq!(recording(&decoded).len(), (n - 3) * OPUS_FRAMES - 312);
    }
    for name in ["vorbis.ogg", "opus.ogg"] {
        let whole = fixture(name);
        let half = decode_bytes(whole[..whole.len() / 2].to_vec());
        let told = half.map_or(true, |decoded| decoded.warnings.contains(&Warning::Truncated));
        assert!(told, "{name}");
    }
}

#[test]
fn an_ogg_file_without_its_head_is_corrupt() {
    let pages = opus_pages();
    let reject = decode_bytes(broken(&pages, &[0])).err().unwrap();
    assert!(reject.code == "corrupt" && reject.message.contains("first page"), "{reject:?}");
    // The comments, without which symphonia does not begin.
    rejected(broken(&pages, &[1]), "corrupt");
}

/// Every mark is taken for a page of 65,025 bytes.
#[test]
fn marks_of_pages_that_are_none_cost_little() {
    let marks = [opus_pages().concat(), [b"OggS".as_slice(), &[255; 60]].concat().repeat(40_000)];
    let decoded = decode_bytes(marks.concat()).unwrap();
    assert_eq!(decoded.warnings, []);
}

#[test]
fn a_broken_flac_frame_costs_its_samples() {
    for name in ["s16.flac", "s24.flac"] {
        let (whole, voice) = (fixture(name), voice(16_000));
        // Four frames, the last one short.
        for (part, warnings) in [
            (0.2, &[Warning::Truncated, Warning::Damaged][..]),
            (0.5, &[Warning::Truncated, Warning::Damaged]),
            (0.99, &[Warning::Truncated]),
        ] {
            let mut bytes = whole.clone();
            let at = (part * bytes.len() as f64) as usize;
            bytes[at] ^= 0x10;
            let decoded = decode_bytes(bytes).unwrap();
            assert_eq!(decoded.warnings, warnings, "{name} {part}");
            let lost = voice.len() - recording(&decoded).len();
            let last = voice.len() % 4096;
            assert_eq!(lost, if part > 0.9 { last } else { 4096 }, "{name} {part}");
        }
    }
}

#[test]
fn mp3_is_found_behind_junk_and_outlives_damage() {
    let mp3 = fixture("cbr.mp3");
    let clean = decode_bytes(mp3.clone()).unwrap();
    let junk = [vec![0u8; 3000], mp3.clone()].concat();
    assert_eq!(recording(&decode_bytes(junk).unwrap()), recording(&clean));
    // One frame, whose start is not found.
    let mut damaged = mp3.clone();
    let frame = 2000 + position(&mp3[2000..], &mp3[position(&mp3, &[0xFF, 0xF3])..][..2]);
    damaged[frame] = 0;
    let decoded = decode_bytes(damaged).unwrap();
    assert_eq!(clean.channels[0].len() - decoded.channels[0].len(), 576);
    assert_eq!(decoded.warnings, [Warning::Truncated]);
    let mut damaged = mp3;
    damaged[2500..3200].fill(0xA5);
    let decoded = decode_bytes(damaged).unwrap();
    assert!(recording(&decoded).len() > recording(&clean).len() / 2);
    assert!(decoded.warnings.contains(&Warning::Truncated), "{:?}", decoded.warnings);
}

/// Cut anywhere behind its head, a file is truncated and begins as the whole one does.
fn keeps_what_is_left(name: &str, file: &[u8], head: usize) {
    let whole = decode_bytes(file.to_vec()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    assert_eq!(whole.warnings, [], "{name}");
    let all = recording(&whole);
    for part in 1..20 {
        let n_bytes = head + (file.len() - head) * part / 20;
        let left = decode_bytes(file[..n_bytes].to_vec())
            .unwrap_or_else(|e| panic!("{name}, {n_bytes} bytes: {e:?}"));
        assert_eq!(left.warnings.first(), Some(&Warning::Truncated), "{name}, {n_bytes} bytes");
        let n_samples = recording(&left).len();
        assert_eq!(recording(&left), &all[..n_samples], "{name}, {n_bytes} bytes");
        let expected = all.len() * part / 20;
        let slack = all.len() / 20 + 4096;
        assert!(n_samples.abs_diff(expected) < slack, "{name}: {n_samples} of {expected}");
    }
}

/// Takes the place of an element's size: that it is not known.
fn unsized_element(file: &mut [u8], id: &[u8]) {
    let at = position(file, id) + id.len();
    let width = file[at].leading_zeros() as usize + 1;
    file[at] = (0xFF_u16 >> (width - 1)) as u8;
    file[at + 1..at + width].fill(0xFF);
}

#[test]
fn a_webm_file_without_its_end_is_truncated() {
    let file = fixture("opus.webm");
    let cluster = [0x1F, 0x43, 0xB6, 0x75];
    let head = position(&file, &cluster) + 200;
    keeps_what_is_left("opus.webm", &file, head);
    // As browsers record: neither the whole nor its parts have a size.
    let mut live = file.clone();
    unsized_element(&mut live, &[0x18, 0x53, 0x80, 0x67]);
    keeps_what_is_left("live segment", &live, head);
    unsized_element(&mut live, &cluster);
    let whole = decode_bytes(live.clone()).unwrap();
    assert_eq!(recording(&whole), recording(&decode_bytes(file.clone()).unwrap()));
    // Without the index at the end, which has a size.
    keeps_what_is_left("live", &live[..4612], head);
    rejected(file[..100].to_vec(), "corrupt");
}

#[test]
fn an_aiff_or_caf_file_without_its_end_is_truncated() {
    for (name, samples) in [("s16.aiff", b"SSND"), ("s16.caf", b"data"), ("alac.caf", b"data")] {
        let file = fixture(name);
        let first_packet = if name == "alac.caf" { 5300 } else { 16 };
        keeps_what_is_left(name, &file, position(&file, samples) + first_packet);
        rejected(file[..30].to_vec(), "corrupt");
    }
}

/// The index of an MP4 before the samples, as for streaming; with a great size of these.
fn index_first(file: &[u8]) -> Vec<u8> {
    let atom = |name| {
        let at = position(file, name) - 4;
        let n_bytes = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        at..at + n_bytes
    };
    let (index, samples) = (atom(b"moov"), atom(b"mdat"));
    let mut moved = [&file[..samples.start], &file[index.clone()]].concat();
    let great = (samples.len() as u64 + 8).to_be_bytes();
    moved.extend(
        [&[0, 0, 0, 1], &b"mdat"[..], &great, &file[samples.start + 8..samples.end]].concat(),
    );
    let table = position(&moved, b"stco") + 8;
    let n_chunks = u32::from_be_bytes(moved[table..table + 4].try_into().unwrap()) as usize;
    for at in (1..=n_chunks).map(|i| table + 4 * i) {
        let place = u32::from_be_bytes(moved[at..at + 4].try_into().unwrap());
        let place = place + index.len() as u32 + 8;
        moved[at..at + 4].copy_from_slice(&place.to_be_bytes());
    }
    moved
}

#[test]
fn an_mp4_file_without_its_end_is_truncated_if_its_index_came_first() {
    for (name, first_packets) in [("aac.m4a", 800), ("alac.m4a", 10_200), ("opus.mp4", 400)] {
        let file = fixture(name);
        let streamed = index_first(&file);
        let (whole, moved) =
            (decode_bytes(file.clone()).unwrap(), decode_bytes(streamed.clone()).unwrap());
        assert_eq!(whole.channels, moved.channels, "{name}");
        keeps_what_is_left(name, &streamed, position(&streamed, b"mdat") + first_packets);
        let reject = decode_bytes(file[..file.len() / 2].to_vec()).err().unwrap();
        assert!(reject.code == "corrupt" && reject.message.contains("index"), "{reject:?}");
        // What is no sound may be missing, or more than there should be.
        let more = [file, b"free\0\0\0\0\0\0\0\0\0".to_vec()].concat();
        let decoded = decode_bytes(more).unwrap();
        assert_eq!((decoded.channels, decoded.warnings), (whole.channels, vec![]), "{name}");
    }
}
