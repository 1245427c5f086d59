//! The weights of the speaker encoder: a published file, known by its SHA-256.
//!
//! The file is `resemblyzer/pretrained.pt` of the Python package Resemblyzer 0.1.4. It is
//! PyTorch's old serialisation: pickled descriptions, then the numbers. Since the very file
//! is known, so is where its numbers are, and nothing of it is interpreted.
//!
//! Always holds: what was loaded is that file.
//! It does not know how the file came here: that is `deploy/weights`.

use std::env::var_os;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::lstm::BANDS;
use super::tile::{GATES, LANES, Panel, Quad, UNITS};

/// The gate that goes through tanh; the others go through the logistic function.
const CELL: usize = 2;

/// The file's SHA-256.
const SHA256: &str = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e";

/// Where the file is in the cache: named after the SHA-256 of the package that holds it.
const IN_CACHE: &str = "weights/resemblyzer-8f12eb2f1a99/pretrained.pt";

/// Places in the file, in bytes, of what PyTorch calls `linear.bias`, `linear.weight` and
/// `lstm.weight_ih_l0`, after which the rest of `lstm` follows.
const LINEAR_BIAS: usize = 6_699;
const LINEAR: usize = 7_731;
const LSTM: usize = 269_883;

/// Numbers of a matrix for all gates of a layer, by its columns.
const fn n_weights(n_columns: usize) -> usize {
    GATES * UNITS * n_columns
}

/// Numbers of the LSTM: input and recurrent matrix of each layer, then both biases of each.
pub(super) const N_LSTM: usize = n_weights(BANDS) + 5 * n_weights(UNITS) + 6 * n_weights(1);

/// The weights of the speaker encoder, to be shared by all threads.
pub struct Weights {
    pub(super) layers: Layers,
    /// The rows of the last layer's matrix.
    pub(super) linear: Vec<[f32; UNITS]>,
    pub(super) linear_bias: [f32; UNITS],
}

/// The LSTM's weights, in panels.
///
/// Those of the gates that go through the logistic function are halved, for
/// [`sigmoid_of_double`](super::gate::sigmoid_of_double); that rounds nothing.
pub(super) struct Layers {
    /// The first layer's input matrix.
    pub(super) first: Vec<Panel<BANDS>>,
    /// The input matrices of the other two.
    pub(super) upper: [Vec<Panel<UNITS>>; 2],
    pub(super) recurrent: [Vec<Panel<UNITS>>; 3],
    /// Sums of both biases.
    pub(super) biases: [Vec<Quad>; 3],
}

/// Why there are no weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{}: {source}; deploy/weights fetches the speaker encoder's weights", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is another one.
    #[error(
        "{} are not the speaker encoder's weights (its SHA-256 is {found}); deploy/weights fetches them",
        path.display()
    )]
    Other {
        /// Its path.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
    },
}

impl Weights {
    /// Where `deploy/weights` puts the file, unless `VOXAGE_WEIGHTS` says where it is.
    #[must_use]
    pub fn path() -> PathBuf {
        let cache = || {
            let home = || PathBuf::from(var_os("HOME").unwrap_or_default()).join(".cache");
            let shared = || var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
            var_os("VOXAGE_CACHE").map_or_else(|| shared().join("voxage"), PathBuf::from)
        };
        var_os("VOXAGE_WEIGHTS").map_or_else(|| cache().join(IN_CACHE), PathBuf::from)
    }

    /// The weights, read once for all threads.
    ///
    /// # Errors
    ///
    /// As [`Weights::load`].
    pub fn shared() -> Result<Arc<Self>, WeightsError> {
        static SHARED: Mutex<Option<Arc<Weights>>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some(weights) => Ok(Arc::clone(weights)),
            None => Ok(Arc::clone(shared.insert(Arc::new(Self::load(&Self::path())?)))),
        }
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or it is another file.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        let read = std::fs::read(path);
        let bytes = read.map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
        let found: String = Sha256::digest(&bytes).iter().map(|x| format!("{x:02x}")).collect();
        if found != SHA256 {
            return Err(WeightsError::Other { path: path.to_owned(), found });
        }
        let numbers = |from: usize, n: usize| -> Vec<f32> {
            let (bytes, _) = bytes[from..from + 4 * n].as_chunks();
            bytes.iter().copied().map(f32::from_le_bytes).collect()
        };
        Ok(Self::pack(
            &numbers(LSTM, N_LSTM),
            &numbers(LINEAR, UNITS * UNITS),
            &numbers(LINEAR_BIAS, UNITS),
        ))
    }

    /// From PyTorch's flat `lstm` and its `linear`.
    pub(super) fn pack(lstm: &[f32], linear: &[f32], linear_bias: &[f32]) -> Self {
        let (first, rest) = lstm.split_at(n_weights(BANDS));
        let (squares, biases) = rest.split_at(5 * n_weights(UNITS));
        let square = |i: usize| panels(&squares[i * n_weights(UNITS)..][..n_weights(UNITS)]);
        let bias = |layer: usize| {
            let (input, recurrent) = biases[2 * layer * n_weights(1)..].split_at(n_weights(1));
            let sums: Vec<f32> = input.iter().zip(recurrent).map(|(a, b)| a + b).collect();
            panels::<1>(&sums).into_iter().flatten().collect()
        };
        let mut own_bias = [0.0; UNITS];
        own_bias.copy_from_slice(linear_bias);
        Self {
            layers: Layers {
                first: panels(first),
                upper: [square(1), square(3)],
                recurrent: [square(0), square(2), square(4)],
                biases: [bias(0), bias(1), bias(2)],
            },
            linear: linear.as_chunks().0.to_vec(),
            linear_bias: own_bias,
        }
    }
}

/// From a matrix of `K` columns, its rows gate by gate, to panels.
fn panels<const K: usize>(matrix: &[f32]) -> Vec<Panel<K>> {
    let mut panels = vec![[Quad::ZERO; K]; UNITS / LANES];
    let (rows, _) = matrix.as_chunks::<K>();
    for (i, row) in rows.iter().enumerate() {
        let (gate, unit) = (i / UNITS, i % UNITS);
        let scale = if gate == CELL { 1.0 } else { 0.5 };
        for (quad, x) in panels[unit / LANES].iter_mut().zip(row) {
            quad.0[gate][unit % LANES] = scale * x;
        }
    }
    panels
}
