//! A file of which some bytes are at hand.
//!
//! Always holds: what is not at hand is an error, never other bytes.

use bytes::{Buf as _, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Parts of a file of some size, each with its place.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    size: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { size: bytes.len() as u64, parts: vec![(0, bytes)] }
    }

    pub(crate) fn of(size: u64, parts: Vec<(u64, Bytes)>) -> Self {
        Self { size, parts }
    }

    /// All that is at hand from `start` on, at least `length` bytes.
    fn from(&self, start: u64, length: usize) -> Result<Bytes> {
        let found = self.parts.iter().find_map(|(place, bytes)| {
            let from = usize::try_from(start.checked_sub(*place)?).ok()?;
            (from.checked_add(length)? <= bytes.len()).then(|| bytes.slice(from..))
        });
        found.ok_or_else(|| ParquetError::EOF(format!("bytes {start} to +{length} are missing")))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start, 0)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        Ok(self.from(start, length)?.slice(..length))
    }
}
