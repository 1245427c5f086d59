//! How far the host may be ahead of a GPU: some steps, so that it never waits for work, and
//! memory does not pile up.

use std::ffi::{c_char, c_int};

use tch::Device;

use crate::Result;
use crate::shim::heard;

#[repr(C)]
struct Raw {
    _opaque: [u8; 0],
}

/// The steps that a device is behind; none where the host computes.
#[derive(Debug)]
pub struct Pace(Option<*mut Raw>);

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_pace_new(pace: *mut *mut Raw, error: *mut c_char, room: usize) -> c_int;
    fn voxage_pace_step(pace: *mut Raw, error: *mut c_char, room: usize) -> c_int;
    fn voxage_pace_free(pace: *mut Raw);
}

impl Pace {
    /// That of a device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn of(device: Device) -> Result<Self> {
        if !device.is_cuda() {
            return Ok(Self(None));
        }
        let mut raw = std::ptr::null_mut();
        // SAFETY: the text has that room, and `raw` is set if that succeeds.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe { voxage_pace_new(&raw mut raw, text, room) })?;
        Ok(Self(Some(raw)))
    }

    /// A step was asked for: waits for one some steps back.
    ///
    /// # Errors
    /// If the device failed.
    pub fn step(&self) -> Result<()> {
        let Some(raw) = self.0 else { return Ok(()) };
        // SAFETY: it is alive, and the text has that room.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe { voxage_pace_step(raw, text, room) })
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        let Some(raw) = self.0 else { return };
        // SAFETY: it is not used afterwards.
        #[allow(unsafe_code)]
        unsafe {
            voxage_pace_free(raw);
        }
    }
}
