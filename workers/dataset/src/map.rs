//! Files of this machine as bytes, without a copy: the system's own, which it takes back as
//! soon as they are dropped. Buffers of this size would stay with the allocator.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::null_mut;

use bytes::Bytes;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A whole file, read ahead.
#[allow(unsafe_code)]
pub(crate) fn read(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    if len == 0 {
        return Ok(Bytes::new());
    }
    let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
    // SAFETY: the system chooses a place that nobody has. Shards in a store or cache are
    // created whole, never written to again and only ever unlinked, so the bytes stay.
    let start = unsafe { mmap(null_mut(), len, ProtFlags::READ, flags, &file, 0) }?;
    Ok(Bytes::from_owner(Map { start, len }))
}

struct Map {
    start: *mut c_void,
    len: usize,
}

// SAFETY: it is only read, and nobody else has it.
#[allow(unsafe_code)]
unsafe impl Send for Map {}

impl AsRef<[u8]> for Map {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: these bytes are mapped until this is dropped.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Map {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: it was mapped by `read`, and nothing looks at it any more.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}
