//! A page that is read alone: its header, which parquet's reader keeps to itself.
//!
//! Always holds: what is odd is none, whatever the bytes. It knows Thrift's compact protocol
//! (a field is a byte of its distance from the last id and its type, a number a varint) as
//! far as a header of a data page goes.

/// What the header of a data page says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the page when it is unpacked.
    pub unpacked: usize,
    /// Where the page begins, behind the header.
    pub start: usize,
}

const STRUCT: u8 = 12;

impl Header {
    /// Reads the header of a data page whose values are stored plainly.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        // PageHeader: 1 type, 2 unpacked, 3 packed size, 5 DataPageHeader: 2 encoding.
        let (mut kind, mut unpacked, mut encoding) = (None, None, None);
        let mut rest = bytes;
        fields(&mut rest, 0, &mut |depth, id, number| match (depth, id) {
            (0, 1) => kind = Some(number),
            (0, 2) => unpacked = Some(number),
            (1, 2) => encoding = Some(number),
            _ => {}
        })?;
        let is_plain = (kind, encoding) == (Some(0), Some(0));
        let unpacked = usize::try_from(unpacked?).ok()?;
        is_plain.then_some(Self { unpacked, start: bytes.len() - rest.len() })
    }
}

/// Goes through the fields of a struct; `number` is told those that are numbers.
fn fields(rest: &mut &[u8], depth: u8, number: &mut dyn FnMut(u8, i64, i64)) -> Option<()> {
    let mut id = 0;
    loop {
        let field = byte(rest)?;
        match field >> 4 {
            _ if field == 0 => return Some(()),
            0 => id = signed(rest)?,
            distance => id += i64::from(distance),
        }
        match field & 15 {
            1 | 2 => {}
            4..=6 => number(depth, id, signed(rest)?),
            8 => {
                let length = usize::try_from(varint(rest)?).ok()?;
                *rest = rest.get(length..)?;
            }
            STRUCT if depth < 4 => fields(rest, depth + 1, number)?,
            _ => return None,
        }
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let part = byte(rest)?;
        number |= u64::from(part & 127) << shift;
        if part < 128 {
            return Some(number);
        }
    }
    None
}

fn signed(rest: &mut &[u8]) -> Option<i64> {
    let number = varint(rest)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As parquet-rs writes it: type 0, sizes 300 and 200, 1 value, plain, levels as runs.
    const HEADER: [u8; 19] =
        [0x15, 0, 0x15, 0xD8, 4, 0x15, 0x90, 3, 0x2C, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0];

    #[test]
    fn a_header_is_read() {
        let header = Header { unpacked: 300, start: HEADER.len() };
        assert_eq!(Header::read(&[&HEADER[..], &[7, 7]].concat()), Some(header));
        let mut dictionary = HEADER;
        dictionary[12] = 4;
        assert_eq!(Header::read(&dictionary), None);
        assert!((0..HEADER.len()).all(|n| Header::read(&HEADER[..n]).is_none()));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = Header::read(&bytes) {
                prop_assert!(header.start <= bytes.len());
            }
        }
    }
}
