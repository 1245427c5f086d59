//! What the C++ beside this crate says of failures.

use std::ffi::{CStr, c_char, c_int};

use tch::TchError;

use crate::{Error, Result};

/// Makes a call that gives 0, or writes why not where there is so much room for a text.
///
/// # Errors
/// What it says.
pub fn heard(call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<()> {
    let mut text = [0 as c_char; 512];
    if call(text.as_mut_ptr(), text.len()) == 0 {
        return Ok(());
    }
    // SAFETY: the shim ends the text with a zero.
    #[allow(unsafe_code)]
    let why = unsafe { CStr::from_ptr(text.as_ptr()) };
    Err(Error::Torch(TchError::Torch(why.to_string_lossy().into_owned())))
}
