//! What is left of containers that were cut short and that symphonia would refuse for it.
//!
//! Always holds: a file that is whole is left as it is; of one that is not, the sizes that
//! promise too much are brought down to what is there.
//! It does not know what containers contain: symphonia does.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::mp4::MOST_ATOMS;
use super::pcm::HeaderError;
use super::splice::Part;
use super::webm;

/// What to make of a file that is shorter than it says.
#[derive(Default)]
pub(super) struct Remains {
    /// Places in increasing order, with what to put there instead.
    pub(super) edits: Vec<(Range<u64>, Vec<u8>)>,
    /// Where what can be read ends.
    pub(super) end: u64,
    /// There is less sound than there was; else only what nobody hears.
    pub(super) lacks_sound: bool,
}

impl Remains {
    /// The file that is left.
    pub(super) fn parts(self) -> Vec<Part> {
        let (mut parts, mut at) = (Vec::new(), 0);
        for (place, bytes) in self.edits {
            parts.extend([Part::Kept(at..place.start), Part::New(bytes)]);
            at = place.end;
        }
        parts.push(Part::Kept(at..self.end));
        parts
    }
}

/// What is left of a file with these first bytes, if it was cut short.
///
/// # Errors
/// If what is left is of no use, or cannot be read.
pub(super) fn remains(
    audio: &mut (impl Read + Seek),
    start: &[u8],
) -> Result<Option<Remains>, HeaderError> {
    let field = |at: usize, n: usize| start.get(at..at + n).unwrap_or_default();
    let n_bytes = audio.seek(SeekFrom::End(0))?;
    let remains =
        if field(0, 4) == b"FORM" && [b"AIFF", b"AIFC"].map(|x| &x[..]).contains(&field(8, 4)) {
            aiff(audio, n_bytes)?
        } else if field(4, 4) == b"ftyp" {
            mp4(audio, n_bytes)?
        } else if field(0, 4) == b"caff" {
            caf(audio, n_bytes)?
        } else if start.starts_with(&webm::MARK) {
            webm::remains(audio, n_bytes)?
        } else {
            None
        };
    audio.rewind()?;
    Ok(remains)
}

/// A form of chunks, one of them with the samples.
fn aiff(audio: &mut (impl Read + Seek), n_bytes: u64) -> io::Result<Option<Remains>> {
    let (mut at, mut has_sound) = (12, false);
    audio.seek(SeekFrom::Start(4))?;
    if 8 + u64::from(u32::from_be_bytes(read(audio)?)) <= n_bytes {
        return Ok(None);
    }
    while at + 8 <= n_bytes {
        audio.seek(SeekFrom::Start(at))?;
        let (name, size) = (read::<4>(audio)?, u32::from_be_bytes(read(audio)?));
        let (is_sound, next) = (&name == b"SSND", at + 8 + u64::from(size));
        if next > n_bytes && is_sound {
            let edits =
                vec![(4..8, be_size(n_bytes - 8)), (at + 4..at + 8, be_size(n_bytes - at - 8))];
            return Ok(Some(Remains { edits, end: n_bytes, lacks_sound: true }));
        }
        if next > n_bytes {
            break;
        }
        has_sound |= is_sound;
        at = next.next_multiple_of(2);
    }
    let end = at.min(n_bytes);
    Ok(Some(Remains { edits: vec![(4..8, be_size(end - 8))], end, lacks_sound: !has_sound }))
}

fn be_size(n: u64) -> Vec<u8> {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes().to_vec()
}

/// A row of chunks, one of them with the samples.
fn caf(audio: &mut (impl Read + Seek), n_bytes: u64) -> io::Result<Option<Remains>> {
    let (mut at, mut has_sound) = (8, false);
    while at + 12 <= n_bytes {
        audio.seek(SeekFrom::Start(at))?;
        let (name, size) = (read::<4>(audio)?, i64::from_be_bytes(read(audio)?));
        // A size below zero is that of the rest.
        let Ok(size) = u64::try_from(size) else { return Ok(None) };
        let (is_sound, next) = (&name == b"data", at + 12 + size);
        if next > n_bytes {
            let end = if is_sound { n_bytes } else { at };
            let size = (n_bytes - at - 12).to_be_bytes().to_vec();
            let edits = if is_sound { vec![(at + 4..at + 12, size)] } else { Vec::new() };
            return Ok(Some(Remains { edits, end, lacks_sound: !has_sound }));
        }
        has_sound |= is_sound;
        at = next;
    }
    Ok(None)
}

/// A row of atoms: somewhere the index `moov`, before or after the samples.
fn mp4(audio: &mut (impl Read + Seek), n_bytes: u64) -> Result<Option<Remains>, HeaderError> {
    let (mut at, mut has_index) = (0, false);
    let mut remains = None;
    for _ in 0..MOST_ATOMS {
        if at + 8 > n_bytes {
            break;
        }
        audio.seek(SeekFrom::Start(at))?;
        let (size, name) = (u32::from_be_bytes(read(audio)?), read::<4>(audio)?);
        // Great sizes stand behind the name; none is that of the rest.
        let (size, place) = match size {
            1 if at + 16 <= n_bytes => (u64::from_be_bytes(read(audio)?), at + 8..at + 16),
            0 => (n_bytes - at, at..at + 4),
            _ => (size.into(), at..at + 4),
        };
        let next = at.saturating_add(size.max(8));
        if next > n_bytes {
            let is_sound = &name == b"mdat";
            let end = if is_sound { n_bytes } else { at };
            let size = (end - at).to_be_bytes();
            let size = size[8 - (place.end - place.start) as usize..].to_vec();
            let edits = if is_sound { vec![(place, size)] } else { Vec::new() };
            remains = Some(Remains { edits, end, lacks_sound: is_sound || &name == b"moof" });
            break;
        }
        has_index |= &name == b"moov";
        at = next;
    }
    if !has_index {
        return Err(HeaderError::Corrupt("it lacks its index, which recorders write last"));
    }
    Ok(remains)
}

fn read<const N: usize>(audio: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    audio.read_exact(&mut bytes)?;
    Ok(bytes)
}
