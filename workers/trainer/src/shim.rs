//! What the C++ beside this crate has in common: how it says that something failed, and what
//! it hands out.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::TchError;

use crate::panics::memory_wanted;
use crate::{Error, Result};

/// Something of the shim's, which goes with this.
#[derive(Debug)]
pub struct Owned {
    raw: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

impl Owned {
    /// What a call makes in the place that it is given, and how that is let go.
    ///
    /// # Errors
    /// What the call says.
    pub fn new(
        make: impl FnOnce(*mut *mut c_void, *mut c_char, usize) -> c_int,
        free: unsafe extern "C" fn(*mut c_void),
    ) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        heard(|text, room| make(&raw mut raw, text, room))?;
        Ok(Self { raw, free })
    }

    /// As the shim knows it.
    #[must_use]
    pub fn raw(&self) -> *mut c_void {
        self.raw
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it is what the shim handed out, and not used afterwards.
        #[allow(unsafe_code)]
        unsafe {
            (self.free)(self.raw);
        }
    }
}

/// Makes a call that gives 0, or writes why not where there is so much room for a text.
///
/// # Errors
/// What it says; [`Error::Memory`] if there is no memory for it.
pub fn heard(call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<()> {
    let mut text = [0 as c_char; 512];
    if call(text.as_mut_ptr(), text.len()) == 0 {
        return Ok(());
    }
    // SAFETY: the shim ends the text with a zero.
    #[allow(unsafe_code)]
    let why = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy();
    let other = || Error::Torch(TchError::Torch(why.clone().into_owned()));
    Err(memory_wanted(&why).map_or_else(other, Error::Memory))
}
