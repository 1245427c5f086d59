//! A recording at its native rate and channels, with Praat's view of time.
//!
//! Definition: sample `i` (from 0) stands at `(i + 0.5) / rate` seconds; a position is a
//! time in samples, so that sample `i` is at position `i`.
//!
//! Always holds: positions are computed with the very operations that Praat uses. Times
//! often fall exactly between two samples, where another order of rounding would shift a
//! whole frame by one.

use crate::lanes;

/// A sound of one or more channels.
#[derive(Clone, Copy)]
pub(super) struct Sound<'a> {
    /// At least one channel; all of the same length.
    pub(super) channels: &'a [&'a [f32]],
    pub(super) rate_hz: f64,
    /// Time between two samples in seconds.
    pub(super) dx: f64,
}

impl<'a> Sound<'a> {
    pub(super) fn new(channels: &'a [&'a [f32]], rate_hz: u32) -> Self {
        let rate_hz = f64::from(rate_hz);
        Self { channels, rate_hz, dx: 1.0 / rate_hz }
    }

    /// Number of samples of a channel.
    pub(super) fn len(self) -> usize {
        self.channels[0].len()
    }

    /// Length in seconds.
    pub(super) fn duration(self) -> f64 {
        self.dx * self.len() as f64
    }

    /// Time of a position in seconds.
    pub(super) fn time(self, position: f64) -> f64 {
        0.5 / self.rate_hz + position * self.dx
    }

    /// The sample at or before a time; may lie outside the sound.
    pub(super) fn low(self, time: f64) -> isize {
        self.index(time).floor() as isize - 1
    }

    /// The sample at or after a time; may lie outside the sound.
    pub(super) fn high(self, time: f64) -> isize {
        self.index(time).ceil() as isize - 1
    }

    /// The sample next to a time; may lie outside the sound.
    pub(super) fn nearest(self, time: f64) -> isize {
        (self.index(time) + 0.5).floor() as isize - 1
    }

    /// Position counted from 1, as Praat rounds it.
    fn index(self, time: f64) -> f64 {
        (time - 0.5 / self.rate_hz) / self.dx + 1.0
    }

    /// Greatest distance of a sample from its channel's mean.
    pub(super) fn peak_around_mean(self) -> f64 {
        let peaks = self.channels.iter().map(|samples| {
            let mean = lanes::sum(samples) / samples.len() as f64;
            let (low, high) = lanes::range(samples);
            (f64::from(high) - mean).max(mean - f64::from(low))
        });
        peaks.fold(0.0, f64::max)
    }

    /// Mean of the first two channels, or the only one: what Praat looks at when it picks
    /// a single sample of a stereo sound.
    pub(super) fn mixed(self, i: usize) -> f64 {
        match self.channels {
            [only] => f64::from(only[i]),
            [left, right, ..] => 0.5 * (f64::from(left[i]) + f64::from(right[i])),
            [] => 0.0,
        }
    }
}

/// Frames of a short-term analysis: as many windows of `window_s` seconds as fit, every
/// `step_s` seconds, centred in the sound. The number of frames and the time of the first.
pub(super) fn frames(sound: Sound<'_>, window_s: f64, step_s: f64) -> Option<(usize, f64)> {
    let duration_s = sound.duration();
    if window_s > duration_s {
        return None;
    }
    let n = ((duration_s - window_s) / step_s).floor() + 1.0;
    let middle = 0.5 / sound.rate_hz - 0.5 * sound.dx + 0.5 * duration_s;
    Some((n as usize, middle - 0.5 * (n * step_s) + 0.5 * step_s))
}
