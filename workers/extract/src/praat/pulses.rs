//! The moments at which the glottis closes, and how strongly.
//!
//! Definition: Praat's "Sound & Pitch: To PointProcess (cc)": from the highest peak in the
//! middle of a voiced stretch, period by period to both sides, to where the next period
//! resembles this one most.
//!
//! Always holds: pulses are in the order of time; a stretch is searched when all its
//! samples are at hand, so that no more than one has to be kept.

use super::perturbation::{Amplitude, amplitude};
use super::pitch::{FLOOR_HZ, Pitch};
use super::sinc::parabola;
use super::sound::{Clock, Sound};
use crate::lanes::{self, dot_f64};

/// Samples around a stretch that the search may look at, in seconds.
const REACH_S: f64 = 4.0 / FLOOR_HZ;

/// The newest pulses, which those of another stretch may still come between.
const UNSETTLED: usize = 3;

/// The pulses of a recording so far.
pub(super) struct Pulses<'a> {
    pitch: &'a Pitch,
    clock: Clock,
    /// Greatest magnitude of all samples.
    peak: f64,
    /// The voiced stretch to search next: start and end in seconds.
    next: Option<(f64, f64)>,
    last_added: f64,
    /// In seconds.
    pub(super) times: Vec<f64>,
    /// Of the pulses between two periods, as far as they were measured.
    pub(super) amplitudes: Vec<Amplitude>,
    /// Pulses whose amplitudes are known, or known to be unknown.
    n_measured: usize,
    scratch: Scratch,
}

/// Correlations by start of the later period, and what they are made of.
#[derive(Default)]
struct Scratch {
    curve: Vec<f64>,
    products: Vec<f32>,
    energies: Vec<f64>,
}

impl<'a> Pulses<'a> {
    /// For a recording of this pitch, whose samples are at most `peak` in magnitude.
    pub(super) fn new(pitch: &'a Pitch, clock: Clock, peak: f64) -> Self {
        Self {
            pitch,
            clock,
            peak,
            next: pitch.voiced_after(0.0),
            last_added: f64::NEG_INFINITY,
            times: Vec::new(),
            amplitudes: Vec::new(),
            n_measured: 1,
            scratch: Scratch::default(),
        }
    }

    /// The place of the first sample that is still needed.
    pub(super) fn needs(&self) -> usize {
        let Some((start, _)) = self.next else { return usize::MAX };
        let waiting = self.times.get(self.n_measured).filter(|_| self.is_near(start));
        let from = waiting.copied().unwrap_or(start).min(start) - REACH_S;
        self.clock.low(from).max(0) as usize
    }

    /// Goes on with what is at hand: samples up to `end`.
    pub(super) fn advance(&mut self, (sound, end): (Sound<'_>, usize)) {
        while let Some((from, to)) = self.next {
            let last = self.clock.high(to + REACH_S).max(0) as usize;
            if last >= end && end < self.clock.n_samples {
                return;
            }
            self.search(sound, from, to);
            self.next = self.pitch.voiced_after(to);
            let is_near = self.next.is_some_and(|(start, _)| self.is_near(start));
            self.measure(sound, if is_near { UNSETTLED } else { 1 });
        }
    }

    /// Whether a stretch that starts here may have to do with the pulses so far.
    fn is_near(&self, start: f64) -> bool {
        self.times.last().is_some_and(|newest| start - newest < REACH_S)
    }

    /// Finds the pulses of one voiced stretch.
    fn search(&mut self, sound: Sound<'_>, start: f64, end: f64) {
        let middle = 0.5 * (start + end);
        let Some(hz) = self.pitch.at(middle) else { return };
        let seed = extremum(sound, middle - 0.5 / hz, middle + 0.5 / hz);

        let mut time = seed;
        while let Some(hz) = self.pitch.at(time) {
            let found = self.scratch.period(sound, time, 1.0 / hz, -1.25 / hz, -0.8 / hz);
            time = found.time.unwrap_or(time - 1.0 / hz);
            let ends = time < start;
            if found.is_pulse(ends, self.peak) && time - self.last_added > 0.8 / hz {
                self.times.push(time);
            }
            if ends {
                break;
            }
        }
        self.times.push(seed);
        time = seed;
        while let Some(hz) = self.pitch.at(time) {
            let found = self.scratch.period(sound, time, 1.0 / hz, 0.8 / hz, 1.25 / hz);
            time = found.time.unwrap_or(time + 1.0 / hz);
            let ends = time > end;
            if found.is_pulse(ends, self.peak) {
                self.times.push(time);
                self.last_added = time;
            }
            if ends {
                break;
            }
        }
        // Those to the left came backwards, and the first of a short stretch may even come
        // before the last of the stretch before it.
        self.times[self.n_measured - 1..].sort_unstable_by(f64::total_cmp);
    }

    /// The amplitudes of all pulses but the newest ones.
    fn measure(&mut self, sound: Sound<'_>, n_newest: usize) {
        let end = self.times.len().saturating_sub(n_newest).max(self.n_measured);
        let n_known = self.times.len().min(end + 1);
        for t in self.times[self.n_measured - 1..n_known].windows(3) {
            self.amplitudes.extend(amplitude(sound, [t[0], t[1], t[2]]));
        }
        self.n_measured = end;
    }
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

impl Scratch {
    /// Where between `from` and `to` seconds from `time` the period around `time` comes
    /// again.
    fn period(&mut self, sound: Sound<'_>, time: f64, period: f64, from: f64, to: f64) -> Found {
        let (clock, half) = (sound.clock, 0.5 * period);
        let window =
            Window { sound, left: clock.nearest(time - half), right: clock.nearest(time + half) };
        let first = clock.low(time + from - half);
        let n = (clock.high(time + to - half) - first + 1).max(0) as usize;
        // The one before the first is taken to be 0.
        self.curve.clear();
        self.curve.resize(n + 1, 0.0);
        window.rough(first, &mut self.curve[1..], &mut self.products, &mut self.energies);
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
        let time = time + (position - window.left as f64) * clock.dx;
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

impl<'a> Window<'a> {
    /// The samples from `left` and from `start` on that both are in the sound.
    fn pairs(self, start: isize) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        let n = self.sound.clock.n_samples as isize;
        let skipped = 0.max(-self.left).max(-start);
        let length = (self.right + 1).min(n).min(n + self.left - start) - self.left;
        let range = |from: isize| {
            let from = (from + skipped).clamp(0, n) as usize;
            from..from + (length - skipped).max(0) as usize
        };
        self.sound.part(range(self.left)).zip(self.sound.part(range(start)))
    }

    /// Correlation with the samples from `start` on.
    fn exact(self, start: isize) -> f64 {
        let (mut product, mut energy1, mut energy2) = (0.0, 0.0, 0.0);
        for (a, b) in self.pairs(start) {
            product += dot_f64(a, b);
            energy1 += dot_f64(a, a);
            energy2 += dot_f64(b, b);
        }
        if product == 0.0 { 0.0 } else { product / (energy1 * energy2).sqrt() }
    }

    /// Correlations with the samples from `first`, `first + 1`, ... on; `out` is zero.
    fn rough(
        self,
        first: isize,
        out: &mut [f64],
        products: &mut Vec<f32>,
        energies: &mut Vec<f64>,
    ) {
        let length = (self.right - self.left + 1).max(0) as usize;
        let inside = |from: isize, n: usize| {
            let from = usize::try_from(from).ok()?;
            (from + n <= self.sound.clock.n_samples).then_some(from..from + n)
        };
        let (Some(here), Some(there)) =
            (inside(self.left, length), inside(first, length + out.len()))
        else {
            for (r, start) in out.iter_mut().zip(first..) {
                *r = self.exact(start);
            }
            return;
        };
        products.resize(out.len(), 0.0);
        energies.clear();
        energies.resize(out.len(), 0.0);
        let mut energy_here = 0.0;
        for (a, b) in self.sound.part(here).zip(self.sound.part(there)) {
            energy_here += dot_f64(a, a);
            lanes::slide(a, b, products);
            let mut energy = dot_f64(&b[..length], &b[..length]);
            let ends = b.iter().zip(&b[length..]);
            for (((r, product), total), (gone, new)) in
                out.iter_mut().zip(&*products).zip(energies.iter_mut()).zip(ends)
            {
                *r += f64::from(*product);
                *total += energy;
                energy += f64::from(*new).powi(2) - f64::from(*gone).powi(2);
            }
        }
        for (r, energy) in out.iter_mut().zip(energies) {
            let energies = energy_here * *energy;
            *r = if energies > 0.0 { *r / energies.sqrt() } else { 0.0 };
        }
    }

    /// Greatest magnitude of the samples from `start` on.
    fn peak(self, start: isize) -> f64 {
        f64::from(self.pairs(start).map(|(_, b)| lanes::peak(b)).fold(0.0, f32::max))
    }
}

/// The time of the greatest magnitude between two times, in seconds.
fn extremum(sound: Sound<'_>, from: f64, to: f64) -> f64 {
    let first = sound.clock.low(from).max(0);
    let last = sound.clock.high(to).min(sound.clock.n_samples as isize - 1);
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
    sound.clock.time(position)
}
