//! Real FFTs with their buffers: what every analysis here is made of.
//!
//! Always holds: a plan allocates nothing while it runs.
//! It does not know what a signal or a spectrum means.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex};

/// A real signal of fixed length and its spectrum, with the transforms between them.
pub(crate) struct RealFft<T: FftNum> {
    forward: Arc<dyn RealToComplex<T>>,
    inverse: Arc<dyn ComplexToReal<T>>,
    /// The signal; both transforms may overwrite what they read.
    pub(crate) signal: Vec<T>,
    /// Its spectrum: bins 0 to half the length.
    pub(crate) spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: FftNum> RealFft<T> {
    pub(crate) fn new(n: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
        let n_scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            signal: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            scratch: vec![Complex::new(T::zero(), T::zero()); n_scratch],
            forward,
            inverse,
        }
    }

    /// From the signal to its spectrum.
    pub(crate) fn forward(&mut self) {
        // Lengths are those of the plan: the only error that realfft knows cannot occur.
        let _ = self.forward.process_with_scratch(
            &mut self.signal,
            &mut self.spectrum,
            &mut self.scratch,
        );
    }

    /// From the spectrum to its signal, times the length.
    pub(crate) fn inverse(&mut self) {
        // Bin 0 is the signal's sum: real. realfft asks for an explicit zero.
        self.spectrum[0].im = T::zero();
        if self.signal.len().is_multiple_of(2)
            && let Some(last) = self.spectrum.last_mut()
        {
            last.im = T::zero();
        }
        let _ = self.inverse.process_with_scratch(
            &mut self.spectrum,
            &mut self.signal,
            &mut self.scratch,
        );
    }
}

/// The least even length of at least `n` that has no prime factors above 5: fast to transform.
pub(crate) fn fast_len(n: usize) -> usize {
    let is_fast = |mut n: usize| {
        for p in [2, 3, 5] {
            while n.is_multiple_of(p) {
                n /= p;
            }
        }
        n == 1
    };
    (n.max(2)..).find(|&n| n.is_multiple_of(2) && is_fast(n)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_gives_the_signal_times_its_length() {
        for n in [15, 16, 90] {
            let mut fft = RealFft::<f64>::new(n);
            let signal: Vec<f64> = (0..n).map(|i| ((i * i) % 7) as f64).collect();
            fft.signal.copy_from_slice(&signal);
            fft.forward();
            fft.inverse();
            for (back, x) in fft.signal.iter().zip(&signal) {
                assert!((back / n as f64 - x).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn fast_lengths() {
        assert_eq!([1, 17, 1178, 687].map(fast_len), [2, 18, 1200, 720]);
    }
}
