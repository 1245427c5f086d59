//! The arithmetic of one layer of the network: products of its matrices with many rows, and
//! the gates.
//!
//! A matrix is kept as panels of 16 units with their four gates side by side, so that a
//! tile of some rows by one panel ends with everything that those units' cells need, in
//! registers: 24 vectors of sums where vectors hold 16 numbers.
//!
//! Always holds: the code is written once, in lanes, and compiled for each kind of
//! processor; kinds differ in rounding only.
//! It does not know of time, windows or where weights come from.

use multiversion::{multiversion, target::match_target};

use super::gate::{sigmoid_of_double, tanh};

/// Hidden units of a layer.
pub(super) const UNITS: usize = 256;

/// Gates of a unit, in torch's order: input, forget, cell, output.
pub(super) const GATES: usize = 4;

/// Units of a panel.
pub(super) const LANES: usize = 16;

/// The four gates of a panel's units, one column of a matrix or one row's sums.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Quad(pub(super) [[f32; LANES]; GATES]);

impl Quad {
    pub(super) const ZERO: Self = Self([[0.0; LANES]; GATES]);
}

/// The columns of a matrix for one panel of units.
pub(super) type Panel<const K: usize> = [Quad; K];

/// Sums of a tile: rows, gates, lanes.
type Sums<const L: usize, const M: usize> = [[[f32; L]; GATES]; M];

/// Rows that went through a matrix: `gates` holds, for one panel after the other, a quad for
/// each row.
#[multiversion(targets(
    "x86_64+avx+avx2+fma+avx512f+avx512bw+avx512dq+avx512vl",
    "x86_64+avx+avx2+fma"
))]
pub(super) fn project<const K: usize>(
    matrix: &[Panel<K>],
    bias: &[Quad],
    rows: &[[f32; K]],
    gates: &mut [Quad],
) {
    match_target! {
        "x86_64+avx512f" => project_in::<16, 6, true, K>(matrix, bias, rows, gates),
        "x86_64+fma" => project_in::<8, 3, true, K>(matrix, bias, rows, gates),
        _ => project_in::<4, 2, false, K>(matrix, bias, rows, gates),
    }
}

/// Where the rows of one step are among those that [`project`] made gates of.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first of them.
    pub(super) first: usize,
    /// All rows: the distance of one panel's gates from the next.
    pub(super) n_rows: usize,
}

/// One step in time of all rows: from the hidden state `before` to that `after`.
#[multiversion(targets(
    "x86_64+avx+avx2+fma+avx512f+avx512bw+avx512dq+avx512vl",
    "x86_64+avx+avx2+fma"
))]
pub(super) fn step(
    matrix: &[Panel<UNITS>],
    gates: &[Quad],
    place: Place,
    before: &[[f32; UNITS]],
    cells: &mut [[f32; UNITS]],
    after: &mut [[f32; UNITS]],
) {
    match_target! {
        "x86_64+avx512f" => step_in::<16, 6, true>(matrix, gates, place, before, cells, after),
        "x86_64+fma" => step_in::<8, 3, true>(matrix, gates, place, before, cells, after),
        _ => step_in::<4, 2, false>(matrix, gates, place, before, cells, after),
    }
}

/// [`project`] in vectors of `L` numbers and tiles of at most `MAX` rows.
#[inline(always)]
pub(super) fn project_in<const L: usize, const MAX: usize, const FUSED: bool, const K: usize>(
    matrix: &[Panel<K>],
    bias: &[Quad],
    rows: &[[f32; K]],
    gates: &mut [Quad],
) {
    let panels = matrix.iter().zip(bias).zip(gates.chunks_exact_mut(rows.len()));
    for ((panel, bias), gates) in panels {
        for part in 0..LANES / L {
            let mut kernel = Project::<L, FUSED, K> { panel, part, bias, rows, gates };
            in_tiles::<MAX>(rows.len(), &mut kernel);
        }
    }
}

/// [`step`] in vectors of `L` numbers and tiles of at most `MAX` rows.
#[inline(always)]
pub(super) fn step_in<const L: usize, const MAX: usize, const FUSED: bool>(
    matrix: &[Panel<UNITS>],
    gates: &[Quad],
    place: Place,
    before: &[[f32; UNITS]],
    cells: &mut [[f32; UNITS]],
    after: &mut [[f32; UNITS]],
) {
    for (i, (panel, gates)) in matrix.iter().zip(gates.chunks_exact(place.n_rows)).enumerate() {
        for part in 0..LANES / L {
            let (gates, unit) = (&gates[place.first..], i * LANES + part * L);
            let mut kernel = Step::<L, FUSED> { panel, part, gates, unit, before, cells, after };
            in_tiles::<MAX>(before.len(), &mut kernel);
        }
    }
}

/// What is done to a tile of `M` rows.
trait Kernel {
    fn tile<const M: usize>(&mut self, first_row: usize);
}

/// Cuts rows into tiles of at most `MAX`, as even as can be: a tile of few rows waits for its
/// weights.
#[inline(always)]
fn in_tiles<const MAX: usize>(n_rows: usize, kernel: &mut impl Kernel) {
    let n_tiles = n_rows.div_ceil(MAX);
    let mut row = 0;
    for i in 0..n_tiles {
        let n = (n_rows - row).div_ceil(n_tiles - i);
        match n {
            1 => kernel.tile::<1>(row),
            2 if MAX > 2 => kernel.tile::<2>(row),
            3 if MAX > 3 => kernel.tile::<3>(row),
            4 if MAX > 4 => kernel.tile::<4>(row),
            5 if MAX > 5 => kernel.tile::<5>(row),
            _ => kernel.tile::<MAX>(row),
        }
        row += n;
    }
}

struct Project<'a, const L: usize, const FUSED: bool, const K: usize> {
    panel: &'a Panel<K>,
    /// Which `L` of the panel's lanes.
    part: usize,
    bias: &'a Quad,
    rows: &'a [[f32; K]],
    gates: &'a mut [Quad],
}

impl<const L: usize, const FUSED: bool, const K: usize> Kernel for Project<'_, L, FUSED, K> {
    #[inline(always)]
    fn tile<const M: usize>(&mut self, row: usize) {
        let mut sums: Sums<L, M> = [lanes_of(self.bias, self.part); M];
        accumulate::<L, M, FUSED, K>(&mut sums, self.panel, self.part, &self.rows[row..]);
        for (gates, sums) in self.gates[row..].iter_mut().zip(&sums) {
            for (gate, sums) in gates.0.iter_mut().zip(sums) {
                gate.as_chunks_mut::<L>().0[self.part] = *sums;
            }
        }
    }
}

struct Step<'a, const L: usize, const FUSED: bool> {
    panel: &'a Panel<UNITS>,
    part: usize,
    gates: &'a [Quad],
    /// The first of the part's units.
    unit: usize,
    before: &'a [[f32; UNITS]],
    cells: &'a mut [[f32; UNITS]],
    after: &'a mut [[f32; UNITS]],
}

impl<const L: usize, const FUSED: bool> Kernel for Step<'_, L, FUSED> {
    #[inline(always)]
    fn tile<const M: usize>(&mut self, row: usize) {
        let mut sums: Sums<L, M> =
            std::array::from_fn(|m| lanes_of(&self.gates[row + m], self.part));
        accumulate::<L, M, FUSED, UNITS>(&mut sums, self.panel, self.part, &self.before[row..]);
        let units = self.unit..self.unit + L;
        for (m, [input, forget, cell, output]) in sums.iter().enumerate() {
            let cells = &mut self.cells[row + m][units.clone()];
            let after = &mut self.after[row + m][units.clone()];
            for lane in 0..L {
                let kept = sigmoid_of_double::<FUSED>(forget[lane]) * cells[lane];
                let added = sigmoid_of_double::<FUSED>(input[lane]) * tanh::<FUSED>(cell[lane]);
                cells[lane] = kept + added;
                after[lane] =
                    sigmoid_of_double::<FUSED>(output[lane]) * tanh::<FUSED>(kept + added);
            }
        }
    }
}

#[inline(always)]
fn lanes_of<const L: usize>(quad: &Quad, part: usize) -> [[f32; L]; GATES] {
    std::array::from_fn(|gate| quad.0[gate].as_chunks().0[part])
}

/// Adds to each row's sums its product with the panel.
#[inline(always)]
fn accumulate<const L: usize, const M: usize, const FUSED: bool, const K: usize>(
    sums: &mut Sums<L, M>,
    panel: &Panel<K>,
    part: usize,
    rows: &[[f32; K]],
) {
    let rows: [&[f32; K]; M] = std::array::from_fn(|m| &rows[m]);
    // A copy of its own stays in registers.
    let mut own = *sums;
    for (k, column) in panel.iter().enumerate() {
        let x: [f32; M] = std::array::from_fn(|m| rows[m][k]);
        // Gate by gate: of 16 registers, sums and numbers of three rows leave one for weights.
        for (gate, weights) in column.0.iter().enumerate() {
            let weights: &[f32; L] = &weights.as_chunks().0[part];
            for (own, x) in own.iter_mut().zip(x) {
                let sums = &mut own[gate];
                for lane in 0..L {
                    sums[lane] = multiply_add::<FUSED>(x, weights[lane], sums[lane]);
                }
            }
        }
    }
    *sums = own;
}

/// `a * b + c`, rounded once where the processor can: elsewhere that would be a call.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
