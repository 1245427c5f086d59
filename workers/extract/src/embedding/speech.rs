//! What the encoder hears of a recording: where there is sound.
//!
//! Always holds: no more than a block is kept.

use std::ops::Range;

use voxage_contract::spec::SAMPLE_RATE_HZ;

use super::{Encoder, RATE_HZ};
use crate::resample::Resampler;

/// Feeds an encoder with the intervals of sound.
pub(crate) struct Speech<'a> {
    encoder: &'a mut Encoder,
    resampler: &'a mut Resampler,
    /// In samples at [`SAMPLE_RATE_HZ`].
    intervals: &'a [Range<usize>],
    /// Place of the next sample, and samples on their way to it.
    at: usize,
    resampled: Vec<f32>,
}

impl<'a> Speech<'a> {
    pub(crate) fn new(
        encoder: &'a mut Encoder,
        resampler: &'a mut Resampler,
        intervals: &'a [Range<usize>],
    ) -> Self {
        resampler.start();
        encoder.start();
        Self { encoder, resampler, intervals, at: 0, resampled: Vec::new() }
    }

    /// Takes the next samples at the native rate.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.resampler.push(samples, &mut self.resampled);
        self.listen();
    }

    /// The embedding; none where there was no sound.
    pub(crate) fn finish(mut self) -> Option<Vec<f32>> {
        self.resampler.finish(&mut self.resampled);
        self.listen();
        self.encoder.finish().map(|embedding| embedding.to_vec())
    }

    fn listen(&mut self) {
        let place = |i: usize| (i as u64 * u64::from(RATE_HZ) / u64::from(SAMPLE_RATE_HZ)) as usize;
        let end = self.at + self.resampled.len();
        while let Some((first, rest)) = self.intervals.split_first() {
            let part = |i: usize| place(i).clamp(self.at, end) - self.at;
            self.encoder.push(&self.resampled[part(first.start)..part(first.end)]);
            if place(first.end) > end {
                break;
            }
            self.intervals = rest;
        }
        self.at = end;
        self.resampled.clear();
    }
}
