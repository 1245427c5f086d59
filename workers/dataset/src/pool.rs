//! Buffers that are used again: fresh memory of some megabytes costs a page fault for every
//! 4 KiB of it, which is more than filling it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that are used again. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Vec<f32>>>>);

/// A buffer that goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Pooled {
    buffer: Vec<f32>,
    pool: Pool,
}

impl Pool {
    /// A buffer of some length, with any numbers in it.
    #[must_use]
    pub fn take(&self, len: usize) -> Pooled {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = buffer.get_or_insert_default();
        buffer.resize(len, 0.0);
        Pooled { buffer: std::mem::take(buffer), pool: self.clone() }
    }
}

impl Pooled {
    /// Makes it at least so long.
    pub fn grow(&mut self, len: usize) {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0.0);
        }
    }
}

impl Deref for Pooled {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let pool = Pool::default();
        let mut first = pool.take(100);
        first[99] = 1.0;
        let place = first.as_ptr();
        drop(first);
        let again = pool.take(50);
        assert_eq!((again.as_ptr(), again.len()), (place, 50));
        assert_ne!(pool.take(50).as_ptr(), place);
    }
}
