//! The frames of a recording, correlated in the order of time as its samples come.
//!
//! Always holds: a frame is taken when all its samples are at hand, or all that there are.

use super::correlate::{Correlator, Curve};
use super::sinc::Sinc;
use super::sound::{Clock, Frames, Sound};

/// How far a recording's frames have come.
pub(super) struct Walk {
    pub(super) frames: Frames,
    next: usize,
    /// The frame that waits for another one to be correlated with.
    waiting: Option<usize>,
}

impl Walk {
    pub(super) fn new(frames: Frames) -> Self {
        Self { frames, next: 0, waiting: None }
    }

    /// The place of the first sample that is still needed.
    pub(super) fn needs(&self, clock: Clock, correlator: &Correlator) -> usize {
        if self.next == self.frames.n {
            return usize::MAX;
        }
        let middle = clock.low(self.frames.time(self.next)).max(0) as usize;
        middle.saturating_sub(correlator.reach())
    }

    /// Goes on to where samples end before `end`, or to the last frame if they are
    /// complete. `wants` says of each frame, told by its peak amplitude, whether to
    /// correlate it; `found` gets the curves of those.
    pub(super) fn advance(
        &mut self,
        correlator: &mut Correlator,
        (sound, end): (Sound<'_>, usize),
        mut wants: impl FnMut(f64) -> bool,
        mut found: impl FnMut(usize, &Curve, &Sinc),
    ) {
        let clock = sound.clock;
        while self.next < self.frames.n {
            let time = self.frames.time(self.next);
            let reach = clock.low(time).max(0) as usize + correlator.reach();
            if reach > end && end < clock.n_samples {
                return;
            }
            let peak = correlator.prepare(usize::from(self.waiting.is_some()), sound, time);
            if wants(peak) {
                match self.waiting.take() {
                    None => self.waiting = Some(self.next),
                    Some(first) => {
                        correlator.correlate();
                        found(first, &correlator.curves[0], &correlator.sinc);
                        found(self.next, &correlator.curves[1], &correlator.sinc);
                    }
                }
            }
            self.next += 1;
        }
        if let Some(last) = self.waiting.take() {
            correlator.correlate();
            found(last, &correlator.curves[0], &correlator.sinc);
        }
    }
}
