//! A damaged file as a reader should see it: parts left out, numbers put right.
//!
//! Always holds: only bytes that are there are read; a reader is told the length of what
//! it sees.
//! It does not know why a part is left out: [`super::ogg`] and [`super::cut`] do.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

/// A part of what a reader sees.
pub(super) enum Part {
    /// These bytes of the file.
    Kept(Range<u64>),
    /// Bytes that take the place of others.
    New(Vec<u8>),
}

impl Part {
    fn n_bytes(&self) -> u64 {
        match self {
            Self::Kept(range) => range.end - range.start,
            Self::New(bytes) => bytes.len() as u64,
        }
    }
}

/// The parts of a file, one after the other.
pub(super) struct Spliced<S> {
    source: S,
    /// Each with the place where it ends.
    parts: Vec<(u64, Part)>,
    n_bytes: u64,
    at: u64,
}

impl<S> Spliced<S> {
    pub(super) fn new(source: S, parts: impl IntoIterator<Item = Part>) -> Self {
        let mut n_bytes = 0;
        let parts = parts.into_iter().map(|part| {
            n_bytes += part.n_bytes();
            (n_bytes, part)
        });
        let parts = parts.collect();
        Self { source, parts, n_bytes, at: 0 }
    }
}

impl<S: Read + Seek> Read for Spliced<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let next = self.parts.partition_point(|(end, _)| *end <= self.at);
        let Some((end, part)) = self.parts.get(next) else { return Ok(0) };
        let left = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buf.len());
        let skipped = part.n_bytes() - (end - self.at);
        let n = match part {
            Part::New(bytes) => (&bytes[skipped as usize..]).read(&mut buf[..left])?,
            Part::Kept(range) => {
                self.source.seek(SeekFrom::Start(range.start + skipped))?;
                self.source.read(&mut buf[..left])?
            }
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl<S> Seek for Spliced<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.n_bytes.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        let place = place.ok_or(io::ErrorKind::InvalidInput)?;
        self.at = place.min(self.n_bytes);
        Ok(self.at)
    }
}

impl<S: Read + Seek + Send + Sync> MediaSource for Spliced<S> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn parts_are_one_file() {
        let parts = [Part::Kept(0..3), Part::New(b"xy".to_vec()), Part::Kept(5..9)];
        let mut spliced = Spliced::new(Cursor::new(b"abcdefghij"), parts);
        let mut all = String::new();
        spliced.read_to_string(&mut all).unwrap();
        assert_eq!((all.as_str(), spliced.byte_len()), ("abcxyfghi", Some(9)));
        for (to, place, rest) in [
            (SeekFrom::Start(4), 4, "yfghi"),
            (SeekFrom::End(-3), 6, "ghi"),
            (SeekFrom::Current(-1), 8, "i"),
            (SeekFrom::Start(100), 9, ""),
        ] {
            assert_eq!(spliced.seek(to).unwrap(), place);
            let mut read = String::new();
            spliced.read_to_string(&mut read).unwrap();
            assert_eq!(read, rest);
        }
        assert!(spliced.seek(SeekFrom::Current(-10)).is_err());
    }
}
