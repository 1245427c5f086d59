//! The moments at which the glottis closes.
//!
//! Definition: Praat's "Sound & Pitch: To PointProcess (cc)": from the highest peak in the
//! middle of a voiced stretch, period by period to both sides, to where the next period
//! resembles this one most.
//!
//! Always holds: pulses are in the order of time.

use super::pitch::Pitch;
use super::sinc::parabola;
use super::sound::Sound;
use crate::lanes::{self, dot, dot_f64};

/// The pulses of a sound, in seconds.
pub(super) fn pulses(sound: Sound<'_>, pitch: &Pitch) -> Vec<f64> {
    let mut pulses = Vec::new();
    let mut search = Search { sound, curve: Vec::new(), energies: Vec::new() };
    let peaks = sound.channels.iter().map(|samples| lanes::peak(samples));
    let peak = f64::from(peaks.fold(0.0, f32::max));
    let (mut after, mut last_added) = (0.0, f64::NEG_INFINITY);
    while let Some((start, end)) = pitch.voiced_after(after) {
        after = end;
        let middle = 0.5 * (start + end);
        let Some(hz) = pitch.at(middle) else { continue };
        let seed = extremum(sound, middle - 0.5 / hz, middle + 0.5 / hz);

        let mut time = seed;
        let first = pulses.len();
        while let Some(hz) = pitch.at(time) {
            let found = search.period(time, 1.0 / hz, -1.25 / hz, -0.8 / hz);
            time = found.time.unwrap_or(time - 1.0 / hz);
            let ends = time < start;
            if found.is_pulse(ends, peak) && time - last_added > 0.8 / hz {
                pulses.push(time);
            }
            if ends {
                break;
            }
        }
        pulses[first..].reverse();

        pulses.push(seed);
        time = seed;
        while let Some(hz) = pitch.at(time) {
            let found = search.period(time, 1.0 / hz, 0.8 / hz, 1.25 / hz);
            time = found.time.unwrap_or(time + 1.0 / hz);
            let ends = time > end;
            if found.is_pulse(ends, peak) {
                pulses.push(time);
                last_added = time;
            }
            if ends {
                break;
            }
        }
    }
    pulses
}

/// What resembles a period most.
struct Found {
    /// None if nothing does.
    time: Option<f64>,
    correlation: f64,
    /// Greatest magnitude of the samples there.
    peak: f64,
}

impl Found {
    /// At the ends of a voiced stretch more is asked of a pulse.
    fn is_pulse(&self, ends: bool, global_peak: f64) -> bool {
        if ends {
            self.correlation > 0.7 && self.peak > 0.023_333 * global_peak
        } else {
            self.correlation > 0.3 && (self.peak == 0.0 || self.peak > 0.01 * global_peak)
        }
    }
}

/// How far correlations in single precision may be off, generously.
const ROUGHNESS: f64 = 1e-4;

/// The search for periods, with its scratch.
struct Search<'a> {
    sound: Sound<'a>,
    /// Correlations by start of the later period; the first is taken to be 0.
    curve: Vec<f64>,
    /// Energies of the later period.
    energies: Vec<f64>,
}

impl Search<'_> {
    /// Where between `from` and `to` seconds from `time` the period around `time` comes
    /// again.
    fn period(&mut self, time: f64, period: f64, from: f64, to: f64) -> Found {
        let (sound, half) = (self.sound, 0.5 * period);
        let window =
            Window { sound, left: sound.nearest(time - half), right: sound.nearest(time + half) };
        let first = sound.low(time + from - half);
        let n = (sound.high(time + to - half) - first + 1).max(0) as usize;
        self.curve.clear();
        self.curve.resize(n + 1, 0.0);
        window.rough(first, &mut self.curve[1..], &mut self.energies);
        let curve = &self.curve;
        let before = |i: usize| if i == 0 { 0.0 } else { curve[i - 1] };
        let is_maximum = |&i: &usize| curve[i] >= before(i) && curve[i] >= curve[i + 1];
        let highest = (0..n).filter(is_maximum).map(|i| curve[i]).fold(-1.0, f64::max);
        // Single precision finds the place, double precision the value.
        let exact = |i: usize| if i == 0 { 0.0 } else { window.exact(first + i as isize - 1) };
        let mut best: Option<(usize, [f64; 3])> = None;
        for i in (0..n).filter(is_maximum).filter(|&i| curve[i] > highest - ROUGHNESS) {
            let r = [exact(i.saturating_sub(1)), exact(i), exact(i + 1)];
            if best.is_none_or(|(_, best)| r[1] > best[1]) {
                best = Some((i, r));
            }
        }
        let Some((i, [left, middle, right])) = best else {
            return Found { time: None, correlation: -1.0, peak: 0.0 };
        };
        let start = first + i as isize;
        let (shift, correlation) = parabola(left, middle, right);
        let position = start as f64 - 1.0 + shift.clamp(-0.5, 0.5);
        let time = time + (position - window.left as f64) * sound.dx;
        Found { time: Some(time), correlation, peak: window.peak(start) }
    }
}

/// The samples of one period, compared with as many elsewhere.
#[derive(Clone, Copy)]
struct Window<'a> {
    sound: Sound<'a>,
    left: isize,
    right: isize,
}

impl Window<'_> {
    /// The samples from `left` and from `start` on that both are in the sound.
    fn pairs(&self, start: isize) -> impl Iterator<Item = (&[f32], &[f32])> {
        let n = self.sound.len() as isize;
        let skipped = 0.max(-self.left).max(-start);
        let length = (self.right + 1).min(n).min(n + self.left - start) - self.left;
        let range = move |from: isize| {
            let from = (from + skipped).clamp(0, n) as usize;
            from..from + (length - skipped).max(0) as usize
        };
        let (a, b) = (range(self.left), range(start));
        self.sound.channels.iter().map(move |x| (&x[a.clone()], &x[b.clone()]))
    }

    /// Correlation with the samples from `start` on.
    fn exact(&self, start: isize) -> f64 {
        let (mut product, mut energy1, mut energy2) = (0.0, 0.0, 0.0);
        for (a, b) in self.pairs(start) {
            product += dot_f64(a, b);
            energy1 += dot_f64(a, a);
            energy2 += dot_f64(b, b);
        }
        if product == 0.0 { 0.0 } else { product / (energy1 * energy2).sqrt() }
    }

    /// Correlations with the samples from `first`, `first + 1`, ... on; `out` is zero.
    fn rough(&self, first: isize, out: &mut [f64], energies: &mut Vec<f64>) {
        let length = (self.right - self.left + 1).max(0) as usize;
        let inside = |from: isize, n: usize| {
            let from = usize::try_from(from).ok()?;
            (from + n <= self.sound.len()).then_some(from..from + n)
        };
        let (Some(here), Some(there)) =
            (inside(self.left, length), inside(first, length + out.len()))
        else {
            for (r, start) in out.iter_mut().zip(first..) {
                *r = self.exact(start);
            }
            return;
        };
        energies.clear();
        energies.resize(out.len(), 0.0);
        let mut energy_here = 0.0;
        for samples in self.sound.channels {
            let (a, b) = (&samples[here.clone()], &samples[there.clone()]);
            energy_here += dot_f64(a, a);
            let mut energy = dot_f64(&b[..length], &b[..length]);
            for (i, (r, total)) in out.iter_mut().zip(energies.iter_mut()).enumerate() {
                *r += f64::from(dot(a, &b[i..i + length]));
                *total += energy;
                energy += f64::from(b[i + length]).powi(2) - f64::from(b[i]).powi(2);
            }
        }
        for (r, energy) in out.iter_mut().zip(energies) {
            let energies = energy_here * *energy;
            *r = if energies > 0.0 { *r / energies.sqrt() } else { 0.0 };
        }
    }

    /// Greatest magnitude of the samples from `start` on.
    fn peak(&self, start: isize) -> f64 {
        f64::from(self.pairs(start).map(|(_, b)| lanes::peak(b)).fold(0.0, f32::max))
    }
}

/// The time of the greatest magnitude between two times, in seconds.
fn extremum(sound: Sound<'_>, from: f64, to: f64) -> f64 {
    let first = sound.low(from).max(0);
    let last = sound.high(to).min(sound.len() as isize - 1);
    if first > last {
        return 0.5 * (from + to);
    }
    let (first, last) = (first as usize, last as usize);
    let value = |i: usize| sound.mixed(i);
    let (mut low, mut high) = (first, first);
    for i in first..=last {
        if value(i) < value(low) {
            low = i;
        }
        if value(i) > value(high) {
            high = i;
        }
    }
    let position = if value(low) == value(high) {
        0.5 * (first + last) as f64
    } else {
        let (i, sign) =
            if value(low).abs() > value(high).abs() { (low, -1.0) } else { (high, 1.0) };
        let at_an_end = i == first || i == last;
        let shift =
            |i: usize| parabola(sign * value(i - 1), sign * value(i), sign * value(i + 1)).0;
        i as f64 + if at_an_end { 0.0 } else { shift(i) }
    };
    sound.time(position)
}
