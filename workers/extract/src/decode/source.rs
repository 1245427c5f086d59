//! The bytes of a recording: hashed once, then read, as often as it takes, by a decoder that
//! cannot tell a failing disk or network from a damaged file.
//!
//! Always holds: whatever the decoder makes of a failed read, [`Failure::get`] has it.
//! It does not know what the bytes mean.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use sha2::{Digest, Sha256};
use symphonia::core::io::MediaSource;

/// Why reading failed, if it did; shared between a [`Source`] and whoever opened it.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<OnceLock<String>>);

impl Failure {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            self.0.get_or_init(|| error.to_string());
        })
    }
}

/// A seekable source of known length, read by one reader at a time.
pub(super) struct Source<R> {
    inner: Arc<Mutex<R>>,
    n_bytes: u64,
    failure: Failure,
}

impl<R> Source<R> {
    fn lock(&self) -> MutexGuard<'_, R> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Read + Seek> Source<R> {
    /// Measures `inner` and goes back to its start.
    pub(super) fn new(mut inner: R, failure: &Failure) -> io::Result<Self> {
        let n_bytes = failure.watch(inner.seek(SeekFrom::End(0)))?;
        failure.watch(inner.rewind())?;
        Ok(Self { inner: Arc::new(Mutex::new(inner)), n_bytes, failure: failure.clone() })
    }

    /// The same source for another reader, from its start on.
    pub(super) fn again(&self) -> io::Result<Self> {
        let mut source =
            Self { inner: Arc::clone(&self.inner), failure: self.failure.clone(), ..*self };
        source.rewind()?;
        Ok(source)
    }

    /// Why reading failed, if it did.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get()
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// SHA-256 of all bytes in hexadecimal digits; reads them and goes back to the start.
    pub(super) fn sha256(&mut self) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 16];
        loop {
            match self.read(&mut block)? {
                0 => break,
                n => hash.update(&block[..n]),
            }
        }
        self.rewind()?;
        Ok(voxage_contract::digest::hex(&hash.finalize()))
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = self.lock().read(buf);
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return self.failure.watch(result),
            }
        }
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // Nothing lies beyond the end: a header that points there meets an end of file.
        let to = match to {
            SeekFrom::Start(n) => SeekFrom::Start(n.min(self.n_bytes)),
            other => other,
        };
        let result = self.lock().seek(to);
        match result {
            // Before the start of all bytes: a number in the file is wrong, not the disk.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(error),
            result => self.failure.watch(result),
        }
    }
}

impl<R: Read + Seek + Send> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.n_bytes)
    }
}
