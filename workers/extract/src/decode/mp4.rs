//! The edit lists of an MP4 file: which part of a track is the recording.
//!
//! Always holds: every step goes forward by at least an atom's header, and there are not many
//! of them; a list of several parts counts as none.
//! It does not know how samples are stored.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::ends::Ends;

/// More atoms than a file has outside each other, but for broadcasts cut into fragments.
pub(super) const MOST_ATOMS: u32 = 1_000_000;

/// The edits of the tracks that have one, by the tracks' numbers.
pub(super) fn ends(audio: &mut (impl Read + Seek)) -> io::Result<BTreeMap<u32, Ends>> {
    let file = 0..audio.seek(SeekFrom::End(0))?;
    let (mut atoms, mut ends) = (Atoms { audio, left: MOST_ATOMS }, BTreeMap::new());
    if let Some(movie) = atoms.find(file, b"moov")? {
        let units_per_s = atoms.behind_times(movie.clone(), b"mvhd")?.unwrap_or(0);
        let mut rest = movie;
        while let Some((name, track)) = atoms.next(&mut rest)? {
            if &name == b"trak" {
                ends.extend(atoms.track(track, units_per_s)?);
            }
        }
    }
    Ok(ends)
}

struct Atoms<'a, R> {
    audio: &'a mut R,
    /// How many more are looked at.
    left: u32,
}

impl<R: Read + Seek> Atoms<'_, R> {
    /// The name and the contents of the first atom of a range, which goes on behind it then.
    fn next(&mut self, range: &mut Range<u64>) -> io::Result<Option<([u8; 4], Range<u64>)>> {
        let n_bytes = range.end.saturating_sub(range.start);
        if n_bytes < 8 || self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.audio.seek(SeekFrom::Start(range.start))?;
        let (size, name) = (u32::from_be_bytes(self.read()?), self.read()?);
        // Great sizes stand behind the name; none is that of the rest.
        let (head, size) = match size {
            0 => (8, n_bytes),
            1 if n_bytes >= 16 => (16, u64::from_be_bytes(self.read()?)),
            n => (8, n.into()),
        };
        if !(head..=n_bytes).contains(&size) {
            return Ok(None);
        }
        let contents = range.start + head..range.start + size;
        range.start = contents.end;
        Ok(Some((name, contents)))
    }

    fn find(&mut self, mut range: Range<u64>, name: &[u8; 4]) -> io::Result<Option<Range<u64>>> {
        while let Some((found, contents)) = self.next(&mut range)? {
            if found == *name {
                return Ok(Some(contents));
            }
        }
        Ok(None)
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.audio.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A number of four bytes, or of eight.
    fn number(&mut self, is_wide: bool) -> io::Result<u64> {
        if is_wide {
            return Ok(u64::from_be_bytes(self.read()?));
        }
        Ok(u32::from_be_bytes(self.read()?).into())
    }

    /// Goes behind the version of an atom, which says whether numbers are wide.
    fn version(&mut self, contents: &Range<u64>) -> io::Result<bool> {
        self.audio.seek(SeekFrom::Start(contents.start))?;
        Ok(self.read::<4>()?[0] == 1)
    }

    /// The number behind the two times of a header.
    fn behind_times(&mut self, range: Range<u64>, name: &[u8; 4]) -> io::Result<Option<u32>> {
        let Some(header) = self.find(range, name)? else { return Ok(None) };
        let is_wide = self.version(&header)?;
        self.number(is_wide)?;
        self.number(is_wide)?;
        Ok(Some(u32::from_be_bytes(self.read()?)))
    }

    /// The number of a track and its edit.
    fn track(&mut self, track: Range<u64>, movie_per_s: u32) -> io::Result<Option<(u32, Ends)>> {
        let Some(number) = self.behind_times(track.clone(), b"tkhd")? else { return Ok(None) };
        let Some(media) = self.find(track.clone(), b"mdia")? else { return Ok(None) };
        let Some(units_per_s) = self.behind_times(media, b"mdhd")? else { return Ok(None) };
        let Some(edits) = self.find(track, b"edts")? else { return Ok(None) };
        let Some(list) = self.find(edits, b"elst")? else { return Ok(None) };
        let is_wide = self.version(&list)?;
        let pause = if is_wide { u64::MAX } else { u32::MAX.into() };
        let mut parts = Vec::new();
        for _ in 0..self.number(false)?.min(3) {
            let (n, start) = (self.number(is_wide)?, self.number(is_wide)?);
            self.read::<4>()?;
            parts.extend((start != pause).then_some((n, start)));
        }
        let [(n, start)] = parts[..] else { return Ok(None) };
        let ns = |n: u64, per_s: u32| {
            let ns = (u128::from(n) * 1_000_000_000).checked_div(per_s.into())?;
            Some(ns.try_into().unwrap_or(u64::MAX))
        };
        // The movie's units may be coarser: up to the end of the last one.
        let most_ns = ns(n.saturating_add(1), movie_per_s).filter(|_| n > 0);
        let start_ns = ns(start, units_per_s).unwrap_or(0);
        Ok(Some((number, Ends { start_ns, most_ns, padding_ns: 0 })))
    }
}
