//! What can be said of a recording's samples before they are analysed.
//!
//! Always holds: memory does not grow with the recording; samples that Praat leaves out are
//! left out, but for the look at clipping.
//! It does not know what follows from the figures.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

use crate::lanes;

/// Figures of one channel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    low: f32,
    high: f32,
    sum: f64,
    /// Sum of the squared samples.
    energy: f64,
    n_samples: usize,
}

impl Heard {
    fn of(samples: &[f32]) -> Self {
        let (low, high) = lanes::range(samples);
        Self {
            low,
            high,
            sum: lanes::sum(samples),
            energy: lanes::dot_f64(samples, samples),
            n_samples: samples.len(),
        }
    }

    fn add(&mut self, more: Self) {
        if more.n_samples == 0 {
            return;
        }
        if self.n_samples == 0 {
            *self = more;
            return;
        }
        (self.low, self.high) = (self.low.min(more.low), self.high.max(more.high));
        self.sum += more.sum;
        self.energy += more.energy;
        self.n_samples += more.n_samples;
    }

    /// Sum of the squared distances from the mean: what can be heard of the channel.
    pub(crate) fn energy(&self) -> f64 {
        (self.energy - self.sum * self.sum / self.n_samples.max(1) as f64).max(0.0)
    }

    /// Greatest magnitude of a sample.
    pub(crate) fn peak(&self) -> f64 {
        f64::from(self.high.max(-self.low))
    }

    /// Greatest distance of a sample from the mean.
    pub(crate) fn peak_around_mean(&self) -> f64 {
        let mean = self.sum / self.n_samples.max(1) as f64;
        (f64::from(self.high) - mean).max(mean - f64::from(self.low))
    }
}

/// The figures of a recording's channels.
pub(crate) struct Survey {
    pub(crate) channels: Vec<Heard>,
    /// Of two channels: half their sum and half their difference, if asked for.
    pub(crate) both: Option<[Heard; 2]>,
    tops: Vec<Tops>,
    /// Samples at the start that are left out.
    n_skipped: usize,
    /// The figures of the newest block, which is left out if it stays the last.
    newest: Option<Vec<Heard>>,
    n_pushed: usize,
    scratch: Vec<f32>,
}

impl Survey {
    /// Leaves out `n_skipped` samples at the start, and the last block if `but_last`.
    pub(super) fn new(n_channels: usize, both: bool, n_skipped: usize, but_last: bool) -> Self {
        Self {
            channels: vec![Heard::default(); n_channels],
            both: (both && n_channels == 2).then(Default::default),
            tops: vec![Tops::default(); n_channels],
            n_skipped,
            newest: but_last.then(|| vec![Heard::default(); n_channels]),
            n_pushed: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes the next samples of every channel.
    pub(super) fn push(&mut self, planes: &[Vec<f32>]) {
        let n = planes[0].len();
        let skipped = self.n_skipped.saturating_sub(self.n_pushed).min(n);
        self.n_pushed += n;
        for (i, plane) in planes.iter().enumerate() {
            let heard = Heard::of(&plane[skipped..]);
            self.tops[i].add(&plane[skipped..], heard.high.max(-heard.low));
            let known = match &mut self.newest {
                Some(newest) => std::mem::replace(&mut newest[i], heard),
                None => heard,
            };
            self.channels[i].add(known);
        }
        if let (Some([sum, difference]), [left, right]) = (&mut self.both, planes) {
            for (heard, sign) in [(sum, 0.5), (difference, -0.5)] {
                self.scratch.clear();
                self.scratch.extend(left.iter().zip(right).map(|(l, r)| 0.5 * l + sign * r));
                heard.add(Heard::of(&self.scratch));
            }
        }
    }

    /// Whether a microphone or converter cut the peaks of a channel off.
    pub(super) fn is_clipped(&self) -> bool {
        self.tops.iter().any(Tops::are_flat)
    }
}

/// How much of a channel stands at its greatest magnitude.
#[derive(Clone, Copy, Default)]
struct Tops {
    peak: f32,
    /// Samples in runs of three or more at the greatest magnitude.
    n_flat: usize,
    n_samples: usize,
}

impl Tops {
    /// Adds samples of which `peak` is the greatest magnitude.
    fn add(&mut self, samples: &[f32], peak: f32) {
        // A higher peak unmakes all flat tops so far.
        if 0.999 * peak > self.peak {
            self.n_flat = 0;
        }
        self.peak = self.peak.max(peak);
        self.n_samples += samples.len();
        let level = 0.999 * self.peak;
        if peak >= level && peak > 0.0 && at_least(samples, level) >= 3 {
            let runs = samples.chunk_by(|&a, &b| (a.abs() >= level) == (b.abs() >= level));
            let flat = runs.filter(|run| run[0].abs() >= level && run.len() >= 3);
            self.n_flat += flat.map(<[f32]>::len).sum::<usize>();
        }
    }

    /// At least one sample in a thousand stands in a flat top, and that is at least half of
    /// full scale (quiet 8-bit sound has flat tops by nature).
    fn are_flat(&self) -> bool {
        self.peak >= 0.5 && self.n_flat * 1000 >= self.n_samples
    }
}

/// How many samples have at least this magnitude.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn at_least(samples: &[f32], level: f32) -> usize {
    samples.iter().map(|x| usize::from(x.abs() >= level)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(channels: &[Vec<f32>], n_skipped: usize, but_last: bool, block: usize) -> Survey {
        let mut survey = Survey::new(channels.len(), true, n_skipped, but_last);
        for at in (0..channels[0].len()).step_by(block) {
            let end = channels[0].len().min(at + block);
            survey.push(&channels.iter().map(|x| x[at..end].to_vec()).collect::<Vec<_>>());
        }
        survey
    }

    #[test]
    fn only_cut_off_peaks_are_clipped() {
        let sine = |gain: f32| -> Vec<f32> {
            (0..4000).map(|i| (gain * (i as f32 * 0.05).sin()).clamp(-1.0, 1.0)).collect()
        };
        let quiet = |channel: Vec<f32>| channel.iter().map(|x| x * 0.4).collect::<Vec<_>>();
        for block in [4000, 300] {
            let is_clipped = |channel: Vec<f32>| survey(&[channel], 0, false, block).is_clipped();
            assert!(!is_clipped(sine(0.99)));
            assert!(is_clipped(sine(2.0)));
            assert!(!is_clipped(quiet(sine(2.0))));
            assert!(!is_clipped(vec![0.0; 100]));
        }
    }

    #[test]
    fn margins_are_left_out() {
        let mut channel = vec![0.25; 1000];
        channel[..100].fill(9.0);
        channel[950..].fill(9.0);
        channel[500] = -0.5;
        let heard = survey(&[channel], 100, true, 50).channels[0];
        assert_eq!((heard.n_samples, heard.peak()), (850, 0.5));
        assert!((heard.peak_around_mean() - 0.75 * 849.0 / 850.0).abs() < 1e-9);
    }

    #[test]
    fn two_channels_are_told_by_sum_and_difference() {
        let left: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.1).sin()).collect();
        let right: Vec<f32> = left.iter().map(|x| -x).collect();
        let survey = survey(&[left, right], 0, false, 300);
        let [sum, difference] = survey.both.unwrap();
        assert_eq!(sum.energy(), 0.0);
        assert!((difference.energy() - survey.channels[0].energy()).abs() < 1e-6);
    }
}
