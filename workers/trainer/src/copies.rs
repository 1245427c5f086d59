//! Batches that get to a GPU while it computes.
//!
//! Always holds: what computes with a batch begins when it is there.

use std::ffi::{c_char, c_int, c_void};

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use crate::Result;
use crate::shim::{Owned, heard};

/// A way of their own for batches; none where the host computes.
#[derive(Debug)]
pub struct Copies(Option<Owned>);

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_copies_new(copies: *mut *mut c_void, error: *mut c_char, room: usize) -> c_int;
    fn voxage_copies_bring(
        copies: *mut c_void,
        host: *const *mut C_tensor,
        there: *mut *mut C_tensor,
        n: i64,
        error: *mut c_char,
        room: usize,
    ) -> c_int;
    fn voxage_copies_free(copies: *mut c_void);
}

impl Copies {
    /// One to a device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn to(device: Device) -> Result<Self> {
        // SAFETY: the text has that room.
        #[allow(unsafe_code)]
        let make = |copies, text, room| unsafe { voxage_copies_new(copies, text, room) };
        let new = || Owned::new(make, voxage_copies_free);
        Ok(Self(device.is_cuda().then(new).transpose()?))
    }

    /// Tensors from [`crate::device::pinned`] memory, where the network is.
    ///
    /// # Errors
    /// If the device failed, or has no memory left.
    pub fn bring<const N: usize>(&self, host: [&Tensor; N]) -> Result<[Tensor; N]> {
        let Some(copies) = &self.0 else { return Ok(host.map(Tensor::shallow_clone)) };
        let host = host.map(|tensor| tensor.as_ptr().cast_mut());
        let mut there = [std::ptr::null_mut(); N];
        let n = N as i64;
        // SAFETY: both have as many places as is said, the text has that room.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe {
            voxage_copies_bring(copies.raw(), host.as_ptr(), there.as_mut_ptr(), n, text, room)
        })?;
        // SAFETY: each is a tensor that nobody else has.
        #[allow(unsafe_code)]
        Ok(there.map(|tensor| unsafe { Tensor::from_ptr(tensor) }))
    }
}
