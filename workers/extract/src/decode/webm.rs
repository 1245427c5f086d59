//! The elements of a WebM or Matroska file: where they end if the file was cut short, and where
//! the recording does.
//!
//! Always holds: every step goes forward by at least an element's header.
//! It does not know what else elements contain.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use super::cut::Remains;
use super::ends::Ends;

/// The first bytes of a file: the id of its header.
pub(super) const MARK: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const TRACKS: u32 = 0x1654_AE6B;
/// Of a track's entry: how many nanoseconds at the start an encoder put there.
const TRACK_NUMBER: u32 = 0xD7;
const CODEC_DELAY: u32 = 0x56AA;
/// A block of sound, alone or in a group that says more about it.
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
/// Nanoseconds at the end of a block that are to be left out.
const DISCARD_PADDING: u32 = 0x75A2;
/// The table of contents, which points to what stands at the end.
const SEEK_HEAD: u32 = 0x114D_9B74;
/// What else stands in a segment: Cues, Tags, Info, Tracks, Chapters, Attachments.
const IN_SEGMENT: [u32; 6] =
    [0x1C53_BB6B, 0x1254_C367, 0x1549_A966, TRACKS, 0x1043_A770, 0x1941_A469];

/// The header of an element.
#[derive(Clone, Copy)]
struct Element {
    id: u32,
    /// Where its size stands.
    size_at: u64,
    /// Where its contents begin.
    at: u64,
    /// Of its contents; none if it goes on until something else begins.
    n_bytes: Option<u64>,
}

impl Element {
    fn end(self) -> u64 {
        self.n_bytes.map_or(u64::MAX, |n| self.at.saturating_add(n))
    }

    /// Its size brought to `n_bytes`, no longer to write than it was.
    fn edit(self, n_bytes: u64) -> (Range<u64>, Vec<u8>) {
        let width = self.at - self.size_at;
        let size = (n_bytes | 1 << (7 * width)).to_be_bytes();
        (self.size_at..self.at, size[8 - width as usize..].to_vec())
    }
}

/// What is left of a file of `n_bytes`, if it was cut short.
pub(super) fn remains(audio: &mut (impl Read + Seek), n_bytes: u64) -> io::Result<Option<Remains>> {
    let mut elements = Elements { audio: BufReader::new(audio), at: 0, n_bytes };
    elements.audio.seek(SeekFrom::Start(0))?;
    let Some(header) = elements.next(0)? else { return Ok(None) };
    let Some(segment) = elements.next(header.end())?.filter(|x| x.id == SEGMENT) else {
        return Ok(None);
    };
    if segment.n_bytes.is_some() && segment.end() <= n_bytes {
        return Ok(None);
    }
    let (mut at, mut is_short, mut cut_cluster) = (segment.at, segment.n_bytes.is_some(), None);
    let mut contents = Vec::new();
    while let Some(element) = elements.next(at)? {
        let overruns = element.n_bytes.is_some() && element.end() > n_bytes;
        is_short |= overruns;
        if element.id == CLUSTER && (overruns || element.n_bytes.is_none()) {
            at = elements.children(element)?;
            if overruns {
                cut_cluster = Some(element.edit(at - element.at));
                break;
            }
        } else if element.end() > n_bytes {
            break;
        } else {
            if element.id == SEEK_HEAD {
                contents.push(at..element.end());
            }
            at = element.end();
        }
    }
    if !is_short && contents.is_empty() {
        return Ok(None);
    }
    let mut edits = Vec::new();
    if segment.n_bytes.is_some() {
        let left_out: u64 = contents.iter().map(|place| place.end - place.start).sum();
        edits.push(segment.edit(at - segment.at - left_out));
    }
    // They lead to what came last, which is missing or was never written.
    edits.extend(contents.into_iter().map(|place| (place, Vec::new())));
    edits.extend(cut_cluster);
    let end = if is_short { at } else { n_bytes };
    Ok(Some(Remains { edits, end, lacks_sound: is_short }))
}

/// What the entries of tracks and their last blocks say, by the tracks' numbers.
pub(super) fn ends(audio: &mut (impl Read + Seek)) -> io::Result<BTreeMap<u32, Ends>> {
    let n_bytes = audio.seek(SeekFrom::End(0))?;
    audio.rewind()?;
    let mut elements = Elements { audio: BufReader::new(audio), at: 0, n_bytes };
    let mut ends = BTreeMap::<u32, Ends>::new();
    let Some(header) = elements.next(0)? else { return Ok(ends) };
    let Some(segment) = elements.next(header.end())? else { return Ok(ends) };
    let (mut at, mut last_cluster) = (segment.at, 0..0);
    while let Some(element) = elements.next(at)? {
        let is_open = element.id == CLUSTER && element.n_bytes.is_none();
        at = if is_open { elements.children(element)? } else { element.end() };
        if element.id == CLUSTER {
            last_cluster = element.at..at;
        } else if element.id == TRACKS {
            let mut tracks = element.at..at;
            while let Some(entry) = elements.next_in(&mut tracks)? {
                let (track, start_ns) = elements.entry(entry)?;
                ends.entry(track).or_default().start_ns = start_ns;
            }
        }
    }
    while let Some(block) = elements.next_in(&mut last_cluster)? {
        let (track, padding_ns) = match block.id {
            SIMPLE_BLOCK => (elements.track()?, 0),
            BLOCK_GROUP => elements.group(block)?,
            _ => continue,
        };
        ends.entry(track).or_default().padding_ns = padding_ns;
    }
    Ok(ends)
}

struct Elements<R> {
    audio: BufReader<R>,
    at: u64,
    n_bytes: u64,
}

impl<R: Read + Seek> Elements<R> {
    /// The header of the element at a place; none at the end of the file, or within one.
    fn next(&mut self, at: u64) -> io::Result<Option<Element>> {
        if at >= self.n_bytes {
            return Ok(None);
        }
        self.audio.seek_relative(at.wrapping_sub(self.at).cast_signed())?;
        self.at = at;
        let Some((id, _)) = self.number(4)? else { return Ok(None) };
        let size_at = self.at;
        let Some((size, width)) = self.number(8)? else { return Ok(None) };
        let n_bytes = size & !(1 << (7 * width));
        let n_bytes = (n_bytes != (1 << (7 * width)) - 1).then_some(n_bytes);
        Ok(Some(Element { id: id as u32, size_at, at: self.at, n_bytes }))
    }

    /// A number whose leading zeros say how many bytes it has, and that number.
    fn number(&mut self, most: u32) -> io::Result<Option<(u64, u32)>> {
        let mut bytes = [0; 8];
        if self.at == self.n_bytes {
            return Ok(None);
        }
        self.audio.read_exact(&mut bytes[..1])?;
        let width = bytes[0].leading_zeros() + 1;
        if width > most || self.at + u64::from(width) > self.n_bytes {
            self.at += 1;
            return Ok(None);
        }
        self.audio.read_exact(&mut bytes[1..width as usize])?;
        self.at += u64::from(width);
        Ok(Some((u64::from_be_bytes(bytes) >> (64 - 8 * width), width)))
    }

    /// Where the last whole part of a cluster ends.
    fn children(&mut self, cluster: Element) -> io::Result<u64> {
        let mut at = cluster.at;
        while let Some(child) = self.next(at)? {
            let is_next =
                [CLUSTER, SEEK_HEAD].contains(&child.id) || IN_SEGMENT.contains(&child.id);
            if is_next || child.end() > self.n_bytes {
                break;
            }
            at = child.end();
        }
        Ok(at)
    }

    /// The first element of a range, which goes on behind it then.
    fn next_in(&mut self, range: &mut Range<u64>) -> io::Result<Option<Element>> {
        let next = if range.is_empty() { None } else { self.next(range.start)? };
        range.start = next.map_or(range.end, Element::end);
        Ok(next)
    }

    /// The contents of an element, from the top of a word on; 0 if it is no number.
    fn word(&mut self, element: Element) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let n = element.n_bytes.filter(|&n| n <= 8 && element.end() <= self.n_bytes).unwrap_or(0);
        self.audio.read_exact(&mut bytes[..n as usize])?;
        self.at += n;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Of a track's entry its number and its delay in nanoseconds.
    fn entry(&mut self, entry: Element) -> io::Result<(u32, u64)> {
        let (mut number, mut delay_ns, mut parts) = (0, 0, entry.at..entry.end());
        while let Some(part) = self.next_in(&mut parts)? {
            let n_bits = 8 * part.n_bytes.unwrap_or(0).clamp(1, 8);
            match part.id {
                TRACK_NUMBER => number = self.word(part)? >> (64 - n_bits),
                CODEC_DELAY => delay_ns = self.word(part)? >> (64 - n_bits),
                _ => {}
            }
        }
        Ok((u32::try_from(number).unwrap_or(0), delay_ns))
    }

    /// Of a group its block's track, and the nanoseconds at its end that are to be left out.
    fn group(&mut self, group: Element) -> io::Result<(u32, u64)> {
        let (mut track, mut padding_ns, mut parts) = (0, 0, group.at..group.end());
        while let Some(part) = self.next_in(&mut parts)? {
            match part.id {
                BLOCK => track = self.track()?,
                DISCARD_PADDING => {
                    let n_bits = 8 * part.n_bytes.unwrap_or(0).clamp(1, 8);
                    // Signed; below zero it would be silence to be put in.
                    let value = self.word(part)?.cast_signed() >> (64 - n_bits);
                    padding_ns = u64::try_from(value).unwrap_or(0);
                }
                _ => {}
            }
        }
        Ok((track, padding_ns))
    }

    /// The track that a block is of, at the start of its contents; 0 is none.
    fn track(&mut self) -> io::Result<u32> {
        let number = self.number(8)?.map_or(0, |(number, width)| number & !(1 << (7 * width)));
        Ok(u32::try_from(number).unwrap_or(0))
    }
}
