//! The least value of a smooth function of a few numbers: BFGS (Nocedal and Wright 2006,
//! algorithm 6.1) with steps halved until they go down enough.

use crate::Result;

/// Armijo's condition: the part of the promised descent that a step must keep.
const ENOUGH: f64 = 1e-4;

/// Steps are halved at most so often.
const HALVINGS: u32 = 30;

/// Goes down from `start` for at most `steps` steps; `function` gives its value and slope,
/// or an infinite value where it is not defined.
///
/// # Errors
/// Those of the function.
pub fn least(
    start: &[f64],
    steps: usize,
    mut function: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>)>,
) -> Result<Vec<f64>> {
    let n = start.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut place = start.to_vec();
    let (mut value, mut slope) = function(&place)?;
    // The inverse of the curvature, row-major.
    let mut inverse: Vec<f64> = (0..n * n).map(|i| f64::from(u8::from(i % (n + 1) == 0))).collect();
    for step in 0..steps {
        let direction: Vec<f64> =
            (0..n).map(|i| -dot(&inverse[i * n..(i + 1) * n], &slope)).collect();
        let promised = dot(&direction, &slope);
        if promised > -1e-10 {
            break;
        }
        // Nothing is known of the scale before the first step.
        let mut length = if step == 0 { 1.0 / dot(&slope, &slope).sqrt().max(1.0) } else { 1.0 };
        let mut next = None;
        for _ in 0..HALVINGS {
            let there: Vec<f64> =
                place.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (found, down) = function(&there)?;
            if found <= value + ENOUGH * length * promised {
                next = Some((there, found, down));
                break;
            }
            length /= 2.0;
        }
        let Some((there, found, down)) = next else { break };
        let moved: Vec<f64> = there.iter().zip(&place).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = down.iter().zip(&slope).map(|(a, b)| a - b).collect();
        let curved = dot(&moved, &change);
        if curved > 1e-12 {
            update(&mut inverse, &moved, &change, curved);
        }
        let gained = value - found;
        (place, value, slope) = (there, found, down);
        if gained < 1e-9 * value.abs().max(1.0) {
            break;
        }
    }
    Ok(place)
}

/// `(I - s yᵀ/ρ) H (I - y sᵀ/ρ) + s sᵀ/ρ` with `ρ = sᵀy`.
fn update(inverse: &mut [f64], moved: &[f64], change: &[f64], curved: f64) {
    let n = moved.len();
    let product: Vec<f64> =
        (0..n).map(|i| (0..n).map(|j| inverse[i * n + j] * change[j]).sum()).collect();
    let inner: f64 = product.iter().zip(change).map(|(a, b)| a * b).sum();
    for i in 0..n {
        for j in 0..n {
            inverse[i * n + j] += (1.0 + inner / curved) * moved[i] * moved[j] / curved
                - (product[i] * moved[j] + moved[i] * product[j]) / curved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrock_s_valley_is_walked_to_its_end() {
        let least = least(&[-1.2, 1.0], 200, |p| {
            let (x, y) = (p[0], p[1]);
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let slope = vec![-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)];
            Ok((value, slope))
        })
        .unwrap();
        assert!((least[0] - 1.0).abs() < 1e-4 && (least[1] - 1.0).abs() < 1e-4, "{least:?}");
    }
}
