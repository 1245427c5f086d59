//! Want of memory inside of a calculation, as an error: tch panics there.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};

use crate::{Error, Result};

/// Does the work; if torch has no memory for it, that is an error, since the same would need
/// as much again. Other panics go on.
///
/// # Errors
/// Those of the work, and [`Error::Memory`].
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What the work was changing is given up with it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match want_of_memory(&*panic) {
        Some(words) => Err(Error::Memory(words)),
        None => resume_unwind(panic),
    })
}

/// Keeps from standard error, with pages of C++, what becomes an error.
pub fn keep_quiet() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if want_of_memory(panic.payload()).is_none() {
            usual(panic);
        }
    }));
}

fn want_of_memory(panic: &(dyn Any + Send)) -> Option<String> {
    let (_, said) = panic.downcast_ref::<String>()?.split_once("Torch(\"")?;
    memory_wanted(said.split("\\n").next()?)
}

/// The first line of what torch said, if it is that.
pub fn memory_wanted(said: &str) -> Option<String> {
    let line = said.lines().next()?;
    let wanted = ["out of memory", "can't allocate memory"].iter().any(|sign| line.contains(sign));
    wanted.then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn want_of_memory_is_told_in_a_line() {
        let zeros = |n: i64| Ok(Tensor::zeros([n], (Kind::Float, Device::Cpu)));
        let said = caught(|| zeros(1 << 50)).unwrap_err().to_string();
        assert!(said.contains("allocate 4503599627370496 bytes"), "{said}");
        assert!(!said.contains("frame #"), "{said}");
        assert_eq!(caught(|| zeros(2)).unwrap().size(), [2]);
    }

    #[test]
    #[should_panic(expected = "overflowed")]
    fn other_panics_go_on() {
        let _ = caught(|| Ok(Tensor::zeros([i64::MAX], (Kind::Float, Device::Cpu))));
    }
}
