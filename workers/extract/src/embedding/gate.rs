//! What gates and cells of the network go through: tanh and the logistic function.
//!
//! Always holds: within 1e-6 of the true values for every finite argument; no branches, so
//! lanes of them become vectors.

use super::tile::multiply_add;

/// Beyond this, tanh is 1 in single precision.
const SATURATED: f32 = 7.905_311;

/// Coefficients of the odd numerator and of the even denominator, lowest power first: the
/// rational minimax approximation that Eigen and XLA (`EmitFastTanh`) use.
const NUMERATOR: [f32; 7] = [
    4.893_524_6e-3,
    6.372_619_3e-4,
    1.485_722_4e-5,
    5.122_297e-8,
    -8.604_672e-11,
    2.000_188e-13,
    -2.760_768_5e-16,
];
const DENOMINATOR: [f32; 4] = [4.893_525e-3, 2.268_434_7e-3, 1.185_347_1e-4, 1.198_258_4e-6];

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let x = x.clamp(-SATURATED, SATURATED);
    let square = x * x;
    x * polynomial::<FUSED, 7>(square, &NUMERATOR) / polynomial::<FUSED, 4>(square, &DENOMINATOR)
}

/// The logistic function of `2 x`: 1 / (1 + exp(-2 x)).
#[inline(always)]
pub(super) fn sigmoid_of_double<const FUSED: bool>(x: f32) -> f32 {
    multiply_add::<FUSED>(0.5, tanh::<FUSED>(x), 0.5)
}

#[inline(always)]
fn polynomial<const FUSED: bool, const N: usize>(x: f32, coefficients: &[f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        value = multiply_add::<FUSED>(value, x, coefficients[i]);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_true_functions_everywhere() {
        for i in -200_000..=200_000 {
            let x = i as f32 * 1e-4;
            let true_tanh = f64::from(x).tanh();
            let true_sigmoid = 1.0 / (1.0 + (-2.0 * f64::from(x)).exp());
            for (found, expected) in [
                (tanh::<true>(x), true_tanh),
                (tanh::<false>(x), true_tanh),
                (sigmoid_of_double::<true>(x), true_sigmoid),
                (sigmoid_of_double::<false>(x), true_sigmoid),
            ] {
                assert!((f64::from(found) - expected).abs() < 1e-6, "{x}: {found}");
            }
        }
        assert_eq!(tanh::<false>(f32::MAX), 1.0);
        assert_eq!(tanh::<false>(f32::MIN), -1.0);
    }
}
