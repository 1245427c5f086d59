//! The bytes of one recording.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use bytes::Bytes;

/// The bytes of one recording: a file, or held in memory. Reads without a runtime.
#[derive(Debug)]
pub struct Audio(Held);

#[derive(Debug)]
enum Held {
    File(File),
    Memory(Cursor<Bytes>),
}

impl From<File> for Audio {
    fn from(file: File) -> Self {
        Self(Held::File(file))
    }
}

impl From<Bytes> for Audio {
    fn from(bytes: Bytes) -> Self {
        Self(Held::Memory(Cursor::new(bytes)))
    }
}

impl Read for Audio {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Held::File(file) => file.read(buf),
            Held::Memory(bytes) => bytes.read(buf),
        }
    }
}

impl Seek for Audio {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Held::File(file) => file.seek(to),
            Held::Memory(bytes) => bytes.seek(to),
        }
    }
}
