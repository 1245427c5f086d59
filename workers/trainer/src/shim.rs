//! What the C++ beside this crate says of failures.

use std::ffi::{CStr, c_char, c_int};

use tch::TchError;

use crate::panics::memory_wanted;
use crate::{Error, Result};

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
