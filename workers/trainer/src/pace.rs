//! How far the host may be ahead of a GPU: some steps, so that it never waits for work, and
//! memory does not pile up.

use std::ffi::{c_char, c_int, c_void};

use tch::Device;

use crate::Result;
use crate::shim::{Owned, heard};

/// The steps that a device is behind; none where the host computes.
#[derive(Debug)]
pub struct Pace(Option<Owned>);

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_pace_new(pace: *mut *mut c_void, error: *mut c_char, room: usize) -> c_int;
    fn voxage_pace_step(pace: *mut c_void, error: *mut c_char, room: usize) -> c_int;
    fn voxage_pace_free(pace: *mut c_void);
}

impl Pace {
    /// That of a device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn of(device: Device) -> Result<Self> {
        // SAFETY: the text has that room.
        #[allow(unsafe_code)]
        let make = |pace, text, room| unsafe { voxage_pace_new(pace, text, room) };
        let new = || Owned::new(make, voxage_pace_free);
        Ok(Self(device.is_cuda().then(new).transpose()?))
    }

    /// A step was asked for: waits for one some steps back.
    ///
    /// # Errors
    /// If the device failed.
    pub fn step(&self) -> Result<()> {
        let Some(pace) = &self.0 else { return Ok(()) };
        // SAFETY: it is alive, and the text has that room.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe { voxage_pace_step(pace.raw(), text, room) })
    }
}
