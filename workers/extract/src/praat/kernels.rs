//! The inner loops of correlating frames.
//!
//! Always holds: no loop allocates or branches on its values; what stands side by side is
//! computed side by side.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use rustfft::num_complex::Complex;

/// Samples without their mean, under a window.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn windowed(samples: &[f32], mean: f64, window: &[f64], out: &mut [f64]) {
    for ((out, x), window) in out.iter_mut().zip(samples).zip(window) {
        *out = (f64::from(*x) - mean) * window;
    }
}

/// x + iy, both filled up with zeros; `y` is not longer than `x`, nor `x` than `out`.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn pack(x: &[f64], y: &[f64], out: &mut [Complex<f64>]) {
    let (both, rest) = out.split_at_mut(y.len());
    let (alone, rest) = rest.split_at_mut(x.len() - y.len());
    for ((z, x), y) in both.iter_mut().zip(x).zip(y) {
        *z = Complex::new(*x, *y);
    }
    for (z, x) in alone.iter_mut().zip(&x[y.len()..]) {
        *z = Complex::new(*x, 0.0);
    }
    rest.fill(Complex::ZERO);
}

/// x and y of x + iy, as many as they have room for.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn unpack(z: &[Complex<f64>], x: &mut [f64], y: &mut [f64]) {
    for ((z, x), y) in z.iter().zip(x).zip(y) {
        (*x, *y) = (z.re, z.im);
    }
}

/// Divides products by that at lag 0 and by the window's own.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn scale_auto(lags: &mut [f64], window_inverse: &[f64]) {
    let scale = 1.0 / lags[0];
    for (lag, inverse) in lags.iter_mut().zip(window_inverse) {
        *lag *= scale * inverse;
    }
}

/// Divides products by the root of the energies; what has no energy correlates with nothing.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn scale_cross(lags: &mut [f64], energies: &[f64], scale: f64) {
    for (lag, energy) in lags.iter_mut().zip(energies) {
        let r = *lag * scale / energy.sqrt();
        *lag = if *energy > 0.0 { r } else { 0.0 };
    }
}

/// The spectrum x + iy of two even functions, from bins 0 to n / 2 of each.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn join_even(x: &[f64], y: &[f64], out: &mut [Complex<f64>]) {
    let (low, high) = out.split_at_mut(x.len());
    for ((z, x), y) in low.iter_mut().zip(x).zip(y) {
        *z = Complex::new(*x, *y);
    }
    high.copy_from_slice(&low[1..=high.len()]);
    high.reverse();
}

/// Adds conj(Y) X to bins 0 to n / 2, from the transform `z` of x + iy.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn add_products(z: &[Complex<f64>], sums: &mut [Complex<f64>]) {
    let half = z.len() / 2;
    sums[0].re += z[0].re * z[0].im;
    sums[half].re += z[half].re * z[half].im;
    let bins = z[1..half].iter().zip(z[half + 1..].iter().rev());
    for (sum, (a, b)) in sums[1..half].iter_mut().zip(bins) {
        let (p, q, r, s) = (a.re + b.re, a.im - b.im, a.im + b.im, a.re - b.re);
        sum.re += 0.25 * (p * r - q * s);
        sum.im += 0.25 * (p * s + q * r);
    }
}

/// Adds the energies of the windows that start at samples 0, 1, ... n of a span of 2n.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn add_energies(span: &[f64], sums: &mut [f64]) {
    let n = span.len() / 2;
    let mut energy = span[..n].iter().map(|x| x * x).sum::<f64>();
    sums[0] += energy;
    for ((sum, gone), new) in sums[1..].iter_mut().zip(&span[..n]).zip(&span[n..]) {
        energy += new * new - gone * gone;
        *sum += energy;
    }
}

/// The spectrum of x + iy for real x and y, from bins 0 to n / 2 of each.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn join(x: &[Complex<f64>], y: &[Complex<f64>], out: &mut [Complex<f64>]) {
    let (low, high) = out.split_at_mut(x.len());
    for ((z, x), y) in low.iter_mut().zip(x).zip(y) {
        *z = Complex::new(x.re - y.im, x.im + y.re);
    }
    for ((z, x), y) in high.iter_mut().zip(&x[1..]).zip(&y[1..]) {
        *z = Complex::new(x.re + y.im, y.re - x.im);
    }
    high.reverse();
}
