//! Work for a GPU that is launched as a whole: of a small network, or a small batch, launching
//! layer by layer takes longer than computing.
//!
//! Always holds: a graph does what was written down, on the tensors that it was written down
//! with, whatever they contain by then.

use std::ffi::{c_char, c_int, c_void};

use tch::Device;

use crate::Result;
use crate::shim::{Owned, heard};

/// Work that is written down.
#[derive(Debug)]
pub struct Graph(Owned);

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_graph_there() -> bool;
    fn voxage_graph_room() -> bool;
    fn voxage_graph_begin(graph: *mut *mut c_void, error: *mut c_char, room: usize) -> c_int;
    fn voxage_graph_end(graph: *mut c_void, error: *mut c_char, room: usize) -> c_int;
    fn voxage_graph_replay(graph: *mut c_void, error: *mut c_char, room: usize) -> c_int;
    fn voxage_graph_free(graph: *mut c_void);
}

impl Graph {
    /// Whether work for this device can be written down. Where CUDA is told to do one thing
    /// after the other (`CUDA_LAUNCH_BLOCKING=1`), it cannot.
    #[must_use]
    pub fn is_there(device: Device) -> bool {
        // SAFETY: looks for names.
        #[allow(unsafe_code)]
        let there = || unsafe { voxage_graph_there() };
        let blocks = || std::env::var("CUDA_LAUNCH_BLOCKING").is_ok_and(|value| value == "1");
        device.is_cuda() && !blocks() && there()
    }

    /// Whether the device has room for the memory of a graph of what was done before. Memory
    /// that is not in use goes back to it.
    #[must_use]
    pub fn has_room() -> bool {
        // SAFETY: asks, and catches what is thrown.
        #[allow(unsafe_code)]
        unsafe {
            voxage_graph_room()
        }
    }

    /// Writes down what this thread asks the device for, without doing it. Who keeps the graph
    /// keeps the tensors that it was written down with.
    ///
    /// # Errors
    /// If `work` fails, or waits for the device.
    pub fn of(work: impl FnOnce() -> Result<()>) -> Result<Self> {
        // SAFETY: the text has that room.
        #[allow(unsafe_code)]
        let begin = |graph, text, room| unsafe { voxage_graph_begin(graph, text, room) };
        let graph = Self(Owned::new(begin, voxage_graph_free)?);
        work()?;
        // SAFETY: the graph is alive.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe { voxage_graph_end(graph.0.raw(), text, room) })?;
        Ok(graph)
    }

    /// Does it, behind what the device is at.
    ///
    /// # Errors
    /// If the device failed.
    pub fn launch(&self) -> Result<()> {
        // SAFETY: the graph is alive and whole.
        #[allow(unsafe_code)]
        heard(|text, room| unsafe { voxage_graph_replay(self.0.raw(), text, room) })
    }
}
