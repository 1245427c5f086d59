//! The network against its equations in double precision and against PyTorch.

use serde::Deserialize;

use super::tile::{Place, Quad, project_in, step_in};
use super::weights::N_LSTM;
use super::*;

type Window = [[f32; BANDS]; WINDOW];

/// Uniform in -1 to 1, the same on every machine.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// PyTorch's flat LSTM of random weights, spread as those of a trained one.
fn random_lstm() -> Vec<f32> {
    let mut noise = noise(1);
    (0..N_LSTM).map(|_| 0.15 * noise()).collect()
}

fn random_window(seed: u64) -> Window {
    let mut noise = noise(seed);
    std::array::from_fn(|_| std::array::from_fn(|_| 2.0 * noise().abs()))
}

/// The equations of `nn.LSTM`, as its manual has them: the top layer's last hidden state.
fn by_the_equations(flat: &[f32], window: &Window) -> Vec<f64> {
    let mut rest = flat;
    let mut take = |n: usize| {
        let (taken, after) = rest.split_at(n);
        rest = after;
        taken
    };
    let widths = [BANDS, UNITS, UNITS];
    let matrices = widths.map(|width| [take(4 * UNITS * width), take(4 * UNITS * UNITS)]);
    let biases = widths.map(|_| [take(4 * UNITS), take(4 * UNITS)]);
    let mut inputs: Vec<Vec<f64>> =
        window.iter().map(|frame| frame.iter().copied().map(f64::from).collect()).collect();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let product = |matrix: &[f32], row: usize, x: &[f64]| -> f64 {
        let row = &matrix[row * x.len()..][..x.len()];
        row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum()
    };
    for ([w_input, w_hidden], [b_input, b_hidden]) in matrices.into_iter().zip(biases) {
        let (mut hidden, mut cells) = (vec![0.0; UNITS], vec![0.0; UNITS]);
        for x in &mut inputs {
            let gate = |gate: usize, unit: usize| {
                let row = gate * UNITS + unit;
                let bias = f64::from(b_input[row]) + f64::from(b_hidden[row]);
                product(w_input, row, x) + product(w_hidden, row, &hidden) + bias
            };
            let after = (0..UNITS).map(|unit| {
                let [input, forget, cell, output] = [0, 1, 2, 3].map(|i| gate(i, unit));
                cells[unit] = sigmoid(forget) * cells[unit] + sigmoid(input) * cell.tanh();
                sigmoid(output) * cells[unit].tanh()
            });
            let after = after.collect();
            hidden = after;
            x.clone_from(&hidden);
        }
    }
    inputs.swap_remove(WINDOW - 1)
}

fn pack(flat: &[f32]) -> Weights {
    Weights::pack(flat, &[0.0; UNITS * UNITS], &[0.0; UNITS])
}

fn greatest_difference(a: &[f32; UNITS], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_network_follows_its_equations() {
    let flat = random_lstm();
    let weights = pack(&flat);
    let windows = [random_window(2), random_window(3)];
    let expected = windows.each_ref().map(|window| by_the_equations(&flat, window));
    assert!(expected[0].iter().any(|x| x.abs() > 0.1), "{:?}", expected[0]);
    let mut lstm = Lstm::default();
    // Every number of rows that a tile can have, and more than one tile.
    for n in [1, 2, 3, 4, 5, 6, 7, 24] {
        let batch: Vec<_> = (0..n).map(|i| &windows[i % 2]).collect();
        let found = lstm.run(&weights.layers, &batch, 1.0);
        assert_eq!(found.len(), n);
        for (i, found) in found.iter().enumerate() {
            let error = greatest_difference(found, &expected[i % 2]);
            assert!(error < 1e-5, "window {i} of {n}: {error}");
        }
    }
}

#[test]
fn any_processor_gives_the_same_but_for_rounding() {
    let weights = pack(&random_lstm());
    let layers = &weights.layers;
    let mut noise = noise(4);
    let mut rows =
        |n| -> Vec<[f32; UNITS]> { (0..n).map(|_| std::array::from_fn(|_| noise())).collect() };
    const N: usize = 11;
    let (input, before, cells) = (rows(2 * N), rows(N), rows(N));
    let place = Place { first: N, n_rows: 2 * N };
    let matrix = &layers.recurrent[0];
    let run = |project: &dyn Fn(&mut [Quad]), step: &dyn Fn(&[Quad], &mut [_], &mut [_])| {
        let mut gates = vec![Quad::ZERO; UNITS / tile::LANES * 2 * N];
        let (mut cells, mut after) = (cells.clone(), vec![[0.0; UNITS]; N]);
        project(&mut gates);
        step(&gates, &mut cells, &mut after);
        [cells, after].concat()
    };
    let bias = &layers.biases[1];
    let upper = &layers.upper[0];
    let dispatched =
        run(&|gates| tile::project(upper, bias, &input, gates), &|gates, cells, after| {
            tile::step(matrix, gates, place, &before, cells, after);
        });
    let portable = run(
        &|gates| project_in::<4, 2, false, UNITS>(upper, bias, &input, gates),
        &|gates, cells, after| {
            step_in::<4, 2, false>(matrix, gates, place, &before, cells, after);
        },
    );
    let of_eight = run(
        &|gates| project_in::<8, 3, false, UNITS>(upper, bias, &input, gates),
        &|gates, cells, after| {
            step_in::<8, 3, false>(matrix, gates, place, &before, cells, after);
        },
    );
    for (other, name) in [(portable, "4 lanes"), (of_eight, "8 lanes")] {
        for (a, b) in dispatched.as_flattened().iter().zip(other.as_flattened()) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} {b}");
        }
    }
}

#[derive(Deserialize)]
struct Golden {
    /// The hidden states that made-up windows end with.
    hidden: Vec<Vec<f64>>,
}

#[test]
fn the_network_is_that_of_pytorch() {
    let path = Weights::path();
    if !path.exists() {
        eprintln!("SKIPPED: no weights at {}; run deploy/weights", path.display());
        return;
    }
    let golden = include_str!("../../tests/golden/embedding.json");
    let Golden { hidden } = serde_json::from_str(golden).unwrap();
    let made_up = |n: usize| ((n * 7919 + n * n % 10_007 * 31) % 1009) as f32 / 1009.0;
    let windows: Vec<Window> = (0..hidden.len() * WINDOW)
        .map(|frame| std::array::from_fn(|band| made_up(frame * BANDS + band)))
        .collect::<Vec<_>>()
        .as_chunks()
        .0
        .to_vec();
    let weights = Weights::load(&path).unwrap();
    let mut lstm = Lstm::default();
    let found = lstm.run(&weights.layers, &windows.iter().collect::<Vec<_>>(), 1.0);
    for (found, expected) in found.iter().zip(&hidden) {
        let error = greatest_difference(found, expected);
        eprintln!("greatest difference {error:e}");
        assert!(error < 1e-4, "{error}");
    }
}

#[test]
fn another_file_is_not_taken_for_the_weights() {
    let message = |path: &str| Weights::load(path.as_ref()).err().unwrap().to_string();
    for message in [message("Cargo.toml"), message("/nowhere/pretrained.pt")] {
        assert!(message.contains("deploy/weights"), "{message}");
    }
}
