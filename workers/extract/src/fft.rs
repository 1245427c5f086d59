//! Complex FFTs with their buffer, and how two real signals go through one of them.
//!
//! A transform of x + iy carries the spectra of two real signals x and y: the sum and the
//! difference of bins k and n - k tell them apart. Two for one, and no separate real
//! transform to tune.
//!
//! Always holds: a plan allocates nothing while it runs.
//! It does not know what a signal or a spectrum means.

use std::sync::Arc;

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use rustfft::num_complex::Complex;
use rustfft::{Fft as Plan, FftNum, FftPlanner};

/// The transforms of one length, in place.
pub(crate) struct Fft<T: FftNum> {
    forward: Arc<dyn Plan<T>>,
    inverse: Arc<dyn Plan<T>>,
    /// The signal before, the spectrum after [`Fft::forward`]; the other way round for
    /// [`Fft::inverse`], which gives the signal times the length.
    pub(crate) data: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: FftNum> Fft<T> {
    pub(crate) fn new(n: usize) -> Self {
        let mut planner = FftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
        let n_scratch = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        let zero = Complex::new(T::zero(), T::zero());
        Self { forward, inverse, data: vec![zero; n], scratch: vec![zero; n_scratch] }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn forward(&mut self) {
        self.forward.process_with_scratch(&mut self.data, &mut self.scratch);
    }

    pub(crate) fn inverse(&mut self) {
        self.inverse.process_with_scratch(&mut self.data, &mut self.scratch);
    }
}

/// Adds the power spectra of two real signals, from the spectrum `z` of both: bins 0 to
/// n / 2 of an even length n.
#[inline(always)]
fn powers<T: FftNum>(z: &[Complex<T>], first: &mut [T], second: &mut [T]) {
    let half = z.len() / 2;
    let quarter = T::from_f32(0.25).unwrap_or_else(T::zero);
    for k in [0, half] {
        first[k] = first[k] + z[k].re * z[k].re;
        second[k] = second[k] + z[k].im * z[k].im;
    }
    let (up, down) = (&z[1..half], &z[half + 1..]);
    let bins = up.iter().zip(down.iter().rev());
    for ((a, b), (p, q)) in bins.zip(first[1..half].iter_mut().zip(second[1..half].iter_mut())) {
        let (re, im) = (a.re + b.re, a.im - b.im);
        *p = *p + (re * re + im * im) * quarter;
        let (re, im) = (a.im + b.im, a.re - b.re);
        *q = *q + (re * re + im * im) * quarter;
    }
}

/// [`powers`] in single precision.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn powers_f32(z: &[Complex<f32>], first: &mut [f32], second: &mut [f32]) {
    powers(z, first, second);
}

/// [`powers`] in double precision.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn powers_f64(z: &[Complex<f64>], first: &mut [f64], second: &mut [f64]) {
    powers(z, first, second);
}

/// The least even length of at least `n` with no prime factors above 5, and 5 at most once:
/// fast to transform.
pub(crate) fn fast_len(n: usize) -> usize {
    let is_fast = |mut n: usize| {
        for p in [2, 3] {
            while n.is_multiple_of(p) {
                n /= p;
            }
        }
        n == 1 || n == 5
    };
    (n.max(2)..).find(|&n| n.is_multiple_of(2) && is_fast(n)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_signals_go_through_one_transform() {
        let n = 90;
        let (x, y) = (|i: usize| ((i * i) % 7) as f64, |i: usize| ((i * 5) % 11) as f64 - 3.0);
        let alone = |signal: &dyn Fn(usize) -> f64| {
            let mut fft = Fft::<f64>::new(n);
            (0..n).for_each(|i| fft.data[i] = signal(i).into());
            fft.forward();
            fft.data[..=n / 2].iter().map(Complex::norm_sqr).collect::<Vec<_>>()
        };
        let mut both = Fft::<f64>::new(n);
        (0..n).for_each(|i| both.data[i] = Complex::new(x(i), y(i)));
        both.forward();
        let (mut first, mut second) = (vec![0.0; n / 2 + 1], vec![0.0; n / 2 + 1]);
        powers_f64(&both.data, &mut first, &mut second);
        for (found, expected) in [(first, alone(&x)), (second, alone(&y))] {
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-9, "{a} {b}");
            }
        }
        both.inverse();
        for (i, z) in both.data.iter().enumerate() {
            let back = z / n as f64;
            assert!((back.re - x(i)).abs() < 1e-12 && (back.im - y(i)).abs() < 1e-12);
        }
    }

    #[test]
    fn fast_lengths() {
        assert_eq!([1, 17, 1178, 687].map(fast_len), [2, 18, 1280, 720]);
    }
}
