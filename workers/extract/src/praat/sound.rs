//! A recording at its native rate and channels, with Praat's view of time.
//!
//! Definition: sample `i` (from 0) stands at `(i + 0.5) / rate` seconds; a position is a
//! time in samples, so that sample `i` is at position `i`.
//!
//! Always holds: positions are computed with the very operations that Praat uses. Times
//! often fall exactly between two samples, where another order of rounding would shift a
//! whole frame by one. Samples are named by their place in the whole recording, also where
//! only a part of it is at hand.

use std::ops::Range;

/// The time axis of a whole recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) rate_hz: f64,
    /// Time between two samples in seconds.
    pub(super) dx: f64,
    /// Number of samples of a channel.
    pub(super) n_samples: usize,
}

impl Clock {
    pub(super) fn new(rate_hz: u32, n_samples: usize) -> Self {
        let rate_hz = f64::from(rate_hz);
        Self { rate_hz, dx: 1.0 / rate_hz, n_samples }
    }

    /// Length in seconds.
    pub(super) fn duration(self) -> f64 {
        self.dx * self.n_samples as f64
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

    /// Frames of a short-term analysis: as many windows of `window_s` seconds as fit,
    /// every `step_s` seconds, centred in the sound; none if it is shorter than a window.
    pub(super) fn frames(self, window_s: f64, step_s: f64) -> Frames {
        let duration_s = self.duration();
        if window_s > duration_s {
            return Frames { n: 0, first_s: 0.0, step_s };
        }
        let n = ((duration_s - window_s) / step_s).floor() + 1.0;
        let middle = 0.5 / self.rate_hz - 0.5 * self.dx + 0.5 * duration_s;
        Frames { n: n as usize, first_s: middle - 0.5 * (n * step_s) + 0.5 * step_s, step_s }
    }
}

/// Equally spaced frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) n: usize,
    /// Time of the first in seconds.
    pub(crate) first_s: f64,
    pub(crate) step_s: f64,
}

impl Frames {
    /// Time of a frame in seconds.
    pub(crate) fn time(self, i: usize) -> f64 {
        self.first_s + i as f64 * self.step_s
    }
}

/// The part of a sound that is at hand.
#[derive(Clone, Copy)]
pub(super) struct Sound<'a> {
    pub(super) clock: Clock,
    /// Place of the first sample that is at hand.
    start: usize,
    channels: &'a [Vec<f32>],
}

impl<'a> Sound<'a> {
    /// For each channel the samples of a range, as far as they are at hand.
    pub(super) fn part(self, range: Range<usize>) -> impl Iterator<Item = &'a [f32]> {
        let place = move |i: usize, n: usize| i.saturating_sub(self.start).min(n);
        self.channels
            .iter()
            .map(move |x| &x[place(range.start, x.len())..place(range.end, x.len())])
    }

    /// Mean of the first two channels, or the only one, at sample `i`: what Praat looks at
    /// when it picks a single sample of a stereo sound; 0 where it is not at hand.
    pub(super) fn mixed(self, i: usize) -> f64 {
        let at = |x: &[f32]| f64::from(x.get(i.wrapping_sub(self.start)).copied().unwrap_or(0.0));
        match self.channels {
            [only] => at(only),
            [left, right, ..] => 0.5 * (at(left) + at(right)),
            [] => 0.0,
        }
    }
}

/// The newest samples of a recording that comes in blocks.
#[derive(Default)]
pub(super) struct History {
    channels: Vec<Vec<f32>>,
    start: usize,
}

impl History {
    /// Takes the next samples of every channel.
    pub(super) fn push(&mut self, channels: &[&[f32]]) {
        self.channels.resize_with(channels.len(), Vec::new);
        for (kept, new) in self.channels.iter_mut().zip(channels) {
            kept.extend_from_slice(new);
        }
    }

    /// Place behind the newest sample.
    pub(super) fn end(&self) -> usize {
        self.start + self.channels.first().map_or(0, Vec::len)
    }

    /// Drops what comes before `place`.
    pub(super) fn forget(&mut self, place: usize) {
        let n = place.clamp(self.start, self.end()) - self.start;
        for kept in &mut self.channels {
            kept.drain(..n);
        }
        self.start += n;
    }

    pub(super) fn sound(&self, clock: Clock) -> Sound<'_> {
        Sound { clock, start: self.start, channels: &self.channels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_when_the_past_is_forgotten() {
        let mut history = History::default();
        history.push(&[&[0.0, 1.0, 2.0], &[0.0, 10.0, 20.0]]);
        history.forget(2);
        history.push(&[&[3.0], &[30.0]]);
        let sound = history.sound(Clock::new(1000, 4));
        assert_eq!(history.end(), 4);
        assert_eq!(sound.part(1..4).collect::<Vec<_>>(), [&[2.0, 3.0], &[20.0, 30.0]]);
        assert_eq!([1, 2, 3, 4].map(|i| sound.mixed(i)), [0.0, 11.0, 16.5, 0.0]);
    }
}
