//! The pages of an Ogg file: which are whole, and whether any is missing.
//!
//! Always holds: a file is read once, with few looks back, whatever it contains.
//! It does not know what pages carry, nor how pages make streams: symphonia does, and is
//! given the whole pages only.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::checksum::Crc32;
use symphonia::core::io::Monitor;

/// The most bytes of a page: header, segment table and 255 segments of 255 bytes.
const MOST_BYTES: usize = 27 + 255 + 255 * 255;

const MARK: &[u8] = b"OggS";
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// What became of a file's pages.
#[derive(Default)]
pub(super) struct Pages {
    /// The bytes of all whole pages.
    pub(super) whole: Vec<Range<u64>>,
    /// There is no page that says that it is the last.
    pub(super) cut: bool,
    /// Pages are missing between others.
    pub(super) damaged: bool,
}

/// What the header of a whole page says.
struct Page {
    n_bytes: usize,
    flags: u8,
    stream: u32,
    number: u32,
}

/// Reads all pages, and goes back to the start.
pub(super) fn survey(audio: &mut (impl Read + Seek)) -> io::Result<Pages> {
    audio.rewind()?;
    let mut pages = Pages { cut: true, ..Pages::default() };
    let mut numbers = BTreeMap::new();
    let mut window = Window { audio, at: 0, bytes: Vec::new(), used: 0 };
    // Marks within a page look like pages: so many looks back are enough for any damage.
    let (mut n_looked_back, mut n_passed) = (0, 0);
    loop {
        let bytes = window.next()?;
        if bytes.len() < MARK.len() {
            break;
        }
        let n_bytes = match Page::read(bytes) {
            Ok(page) => {
                let before = numbers.insert(page.stream, page.number);
                let follows = before.is_none_or(|n: u32| n.wrapping_add(1) == page.number);
                pages.damaged |= !follows && page.flags & FIRST == 0;
                pages.cut = page.flags & LAST == 0;
                pages.keep(window.at..window.at + page.n_bytes as u64);
                page.n_bytes
            }
            Err(n_looked_at) => {
                n_looked_back += n_looked_at;
                if n_looked_back > n_passed + 100 * MOST_BYTES {
                    break;
                }
                let next = bytes[1..].windows(MARK.len()).position(|start| start == MARK);
                next.map_or(bytes.len() - MARK.len() + 1, |n| n + 1)
            }
        };
        n_passed += n_bytes;
        window.pass(n_bytes);
    }
    window.audio.seek(SeekFrom::Start(0))?;
    Ok(pages)
}

impl Pages {
    fn keep(&mut self, page: Range<u64>) {
        match self.whole.last_mut() {
            Some(last) if last.end == page.start => last.end = page.end,
            _ => self.whole.push(page),
        }
    }
}

impl Page {
    /// The page at the start of `bytes` if it is whole, else how many bytes were looked at.
    fn read(bytes: &[u8]) -> Result<Self, usize> {
        let header = bytes.get(..27).filter(|header| header.starts_with(MARK)).ok_or(27usize)?;
        let field = |at: usize| -> u32 {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let segments = bytes.get(27..27 + usize::from(header[26])).ok_or(27usize)?;
        let n_body: usize = segments.iter().map(|&n| usize::from(n)).sum();
        let n_bytes = 27 + segments.len() + n_body;
        let page = bytes.get(..n_bytes).ok_or(27 + segments.len())?;
        let mut sum = Crc32::new(0);
        sum.process_buf_bytes(&page[..22]);
        sum.process_buf_bytes(&[0; 4]);
        sum.process_buf_bytes(&page[26..]);
        if sum.crc() != field(22) {
            return Err(n_bytes);
        }
        Ok(Self { n_bytes, flags: header[5], stream: field(14), number: field(18) })
    }
}

/// The bytes of a file from a place on, at least as many as a page can have.
struct Window<'a, R> {
    audio: &'a mut R,
    /// The place.
    at: u64,
    bytes: Vec<u8>,
    /// Bytes before the place.
    used: usize,
}

impl<R: Read> Window<'_, R> {
    fn next(&mut self) -> io::Result<&[u8]> {
        if self.bytes.len() - self.used < MOST_BYTES {
            self.bytes.drain(..self.used);
            self.used = 0;
            let most = 4 * MOST_BYTES - self.bytes.len();
            (&mut *self.audio).take(most as u64).read_to_end(&mut self.bytes)?;
        }
        Ok(&self.bytes[self.used..])
    }

    fn pass(&mut self, n_bytes: usize) {
        self.used += n_bytes;
        self.at += n_bytes as u64;
    }
}
