//! Batches that get to a GPU while it computes.
//!
//! Always holds: what computes with a batch begins when it is there.

use std::ffi::{c_char, c_int};

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use crate::Result;
use crate::shim::heard;

#[repr(C)]
struct Raw {
    _opaque: [u8; 0],
}

/// A way of their own for batches; none where the host computes.
#[derive(Debug)]
pub struct Copies(Option<*mut Raw>);

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_copies_new(copies: *mut *mut Raw, error: *mut c_char, room: usize) -> c_int;
    fn voxage_copies_bring(
        copies: *mut Raw,
        host: *const *mut C_tensor,
        there: *mut *mut C_tensor,
        n: i64,
        error: *mut c_char,
        room: usize,
    ) -> c_int;
    fn voxage_copies_free(copies: *mut Raw);
}

impl Copies {
    /// One to a device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn to(device: Device) -> Result<Self> {
        if !device.is_cuda() {
            return Ok(Self(None));
        }
        let mut raw = std::ptr::null_mut();
        // SAFETY: the text has that room, and `raw` is set if that succeeds.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe { voxage_copies_new(&raw mut raw, text, room) })?;
        Ok(Self(Some(raw)))
    }

    /// Tensors from [`crate::device::pinned`] memory, where the network is.
    ///
    /// # Errors
    /// If the device failed, or has no memory left.
    pub fn bring<const N: usize>(&self, host: [&Tensor; N]) -> Result<[Tensor; N]> {
        let Some(raw) = self.0 else { return Ok(host.map(Tensor::shallow_clone)) };
        let host = host.map(|tensor| tensor.as_ptr().cast_mut());
        let mut there = [std::ptr::null_mut(); N];
        // SAFETY: both have as many places as is said, the text has that room.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe {
            voxage_copies_bring(raw, host.as_ptr(), there.as_mut_ptr(), N as i64, text, room)
        })?;
        // SAFETY: each is a tensor that nobody else has.
        #[allow(unsafe_code)]
        Ok(there.map(|tensor| unsafe { Tensor::from_ptr(tensor) }))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let Some(raw) = self.0 else { return };
        // SAFETY: it is not used afterwards.
        #[allow(unsafe_code)]
        unsafe {
            voxage_copies_free(raw);
        }
    }
}
