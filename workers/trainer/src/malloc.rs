//! The C allocator, set for torch.

/// Keeps freed memory instead of giving it back to the system after every tensor: a step
/// of `seed-cnn-mlp` then takes about half the time. Call it first in `main`.
#[allow(unsafe_code)]
pub fn keep_memory() {
    // SAFETY: mallopt only changes parameters of the allocator, before any thread starts.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}
