//! The network's three layers of long short-term memory, run over windows side by side.
//!
//! Definition: PyTorch's `nn.LSTM` from zero states; what is asked for is the top layer's
//! last hidden state.
//!
//! Always holds: a window's result does not depend on which others are beside it, apart
//! from rounding; buffers grow to what one batch of windows needs and no further.
//! It does not know what its input means.

use super::tile::{LANES, Place, Quad, UNITS, project, step};
use super::weights::Layers;

/// Numbers of a frame.
pub(super) const BANDS: usize = 40;

/// Frames of a window.
pub(super) const WINDOW: usize = 160;

/// Windows that are best run side by side: a panel of weights, once in the cache, serves all.
pub(super) const BATCH: usize = 24;

/// Frames that a layer takes in one go before the next layer does: enough that its weights
/// are worth fetching, and so few that what lies between layers stays small.
const CHUNK: usize = 20;

/// One layer's states: those before a chunk of frames, then those after each of its frames.
#[derive(Default)]
struct State {
    hidden: Vec<[f32; UNITS]>,
    cells: Vec<[f32; UNITS]>,
}

/// The buffers of the network.
#[derive(Default)]
pub(super) struct Lstm {
    input: Vec<[f32; BANDS]>,
    gates: Vec<Quad>,
    states: [State; 3],
}

impl Lstm {
    /// The last hidden state of each window; `frames` are scaled by `gain`.
    pub(super) fn run(
        &mut self,
        layers: &Layers,
        windows: &[&[[f32; BANDS]; WINDOW]],
        gain: f32,
    ) -> &[[f32; UNITS]] {
        let n = windows.len();
        self.gates.resize(UNITS / LANES * CHUNK * n, Quad::ZERO);
        for state in &mut self.states {
            state.hidden.clear();
            state.hidden.resize((CHUNK + 1) * n, [0.0; UNITS]);
            state.cells.clear();
            state.cells.resize(n, [0.0; UNITS]);
        }
        for chunk in 0..WINDOW / CHUNK {
            let frames = chunk * CHUNK..(chunk + 1) * CHUNK;
            let rows = frames.flat_map(|frame| windows.iter().map(move |window| window[frame]));
            self.input.clear();
            self.input.extend(rows.map(|frame| frame.map(|x| gain * x)));
            let [first, second, third] = &mut self.states;
            project(&layers.first, &layers.biases[0], &self.input, &mut self.gates);
            first.advance(&layers.recurrent[0], &self.gates);
            project(&layers.upper[0], &layers.biases[1], &first.hidden[n..], &mut self.gates);
            second.advance(&layers.recurrent[1], &self.gates);
            project(&layers.upper[1], &layers.biases[2], &second.hidden[n..], &mut self.gates);
            third.advance(&layers.recurrent[2], &self.gates);
        }
        &self.states[2].hidden[CHUNK * n..]
    }
}

impl State {
    /// Takes a chunk of frames, of which `gates` holds the layer's input.
    fn advance(&mut self, recurrent: &[[Quad; UNITS]], gates: &[Quad]) {
        let n = self.cells.len();
        self.hidden.copy_within(CHUNK * n.., 0);
        for frame in 0..CHUNK {
            let place = Place { first: frame * n, n_rows: CHUNK * n };
            let (before, after) = self.hidden[frame * n..].split_at_mut(n);
            step(recurrent, gates, place, before, &mut self.cells, &mut after[..n]);
        }
    }
}
