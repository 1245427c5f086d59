//! The fundamental frequency of a voice over time.
//!
//! Definition: Praat's "Sound: To Pitch (ac)" with the settings of "To PointProcess
//! (periodic, cc)": Boersma (1993), the cheapest path through the frames' candidates.
//!
//! Always holds: frames are equally spaced; each has one frequency or none.
//! It does not know the samples when it seeks the path: candidates are all that is kept.

use super::candidates::{Candidate, Peak, candidate, keep_strongest, peaks};
use super::correlate::{Correlator, Curve};
use super::sinc::Sinc;
use super::sound::{Clock, Frames, Sound};
use super::walk::Walk;

/// Lowest and highest frequency in Hz.
pub(super) const FLOOR_HZ: f64 = 75.0;
const CEILING_HZ: f64 = 600.0;
/// Longest periods in a window.
const PERIODS: f64 = 3.0;
/// Candidates of a frame, the unvoiced one aside.
const MOST: usize = 14;
/// A frame whose peak is below this part of the sound's tends to be unvoiced.
const SILENCE_THRESHOLD: f64 = 0.03;
/// What it takes to be voiced, as a correlation.
const VOICING_THRESHOLD: f64 = 0.45;
/// What an octave upwards is worth, as a correlation.
const OCTAVE_COST: f64 = 0.01;
/// What a jump by an octave between two frames costs.
const OCTAVE_JUMP_COST: f64 = 0.35;
/// What a change of voicing between two frames costs.
const VOICING_COST: f64 = 0.14;

/// Frames of the longest voiced stretch that is taken as one: 30 s. What goes on longer is
/// no voice, and the samples of a stretch have to be kept.
const MOST_VOICED: usize = 3000;

/// A pitch track.
pub(crate) struct Pitch {
    /// Frequency of each frame in Hz, if it is voiced.
    pub(crate) hz: Vec<Option<f64>>,
    pub(crate) frames: Frames,
    duration_s: f64,
}

/// One frame of the lattice that the path goes through.
#[derive(Clone, Copy)]
struct Node {
    unvoiced_strength: f64,
    n_candidates: u8,
}

/// A plan to follow pitch at one sample rate.
pub(super) struct PitchTracker {
    correlator: Correlator,
    peaks: Vec<Peak>,
}

/// The candidates of a recording so far.
pub(super) struct Lattice {
    walk: Walk,
    global_peak: f64,
    ceiling_hz: f64,
    duration_s: f64,
    nodes: Vec<Node>,
    candidates: Vec<Candidate>,
}

impl PitchTracker {
    /// None if the sample rate is too low.
    pub(super) fn new(rate_hz: f64) -> Option<Self> {
        let correlator = Correlator::auto(rate_hz, FLOOR_HZ, PERIODS)?;
        Some(Self { correlator, peaks: Vec::new() })
    }

    /// A lattice over a recording whose samples deviate by `global_peak` from their mean.
    pub(super) fn start(&self, clock: Clock, global_peak: f64) -> Lattice {
        let window_s = PERIODS / FLOOR_HZ;
        Lattice {
            walk: Walk::new(clock.frames(window_s, window_s / 4.0)),
            global_peak,
            ceiling_hz: CEILING_HZ.min(0.5 * clock.rate_hz),
            duration_s: clock.duration(),
            nodes: Vec::new(),
            candidates: Vec::new(),
        }
    }

    pub(super) fn needs(&self, lattice: &Lattice, clock: Clock) -> usize {
        lattice.walk.needs(clock, &self.correlator)
    }

    /// Goes on with what is at hand.
    pub(super) fn advance(&mut self, lattice: &mut Lattice, sound: (Sound<'_>, usize)) {
        let Lattice { walk, global_peak, ceiling_hz, nodes, candidates, .. } = lattice;
        let rate_hz = sound.0.clock.rate_hz;
        let nodes = std::cell::RefCell::new(nodes);
        let wants = |peak: f64| {
            let unvoiced_strength = unvoiced_strength(peak, *global_peak);
            nodes.borrow_mut().push(Node { unvoiced_strength, n_candidates: 0 });
            // Nothing is stronger than 1, and a way through an unvoiced frame costs at most
            // two changes of voicing: a frame as silent as this is unvoiced in any case.
            peak > 0.0 && unvoiced_strength <= 1.0 + 2.0 * VOICING_COST
        };
        let found_peaks = &mut self.peaks;
        walk.advance(&mut self.correlator, sound, wants, |frame, curve, sinc| {
            let before = candidates.len();
            find_candidates(curve, sinc, found_peaks, (rate_hz, *ceiling_hz), candidates);
            nodes.borrow_mut()[frame].n_candidates = (candidates.len() - before) as u8;
        });
    }
}

/// Appends those candidates of a frame's curve that the path may go through.
fn find_candidates(
    curve: &Curve,
    sinc: &Sinc,
    found: &mut Vec<Peak>,
    (rate_hz, ceiling_hz): (f64, f64),
    out: &mut Vec<Candidate>,
) {
    peaks(curve, 0.5 * VOICING_THRESHOLD, found);
    keep_strongest(curve, found, MOST, OCTAVE_COST);
    for &peak in &*found {
        // Within a sample of its peak a candidate may come below the ceiling.
        if rate_hz / (peak.lag + 1) as f64 <= ceiling_hz {
            out.extend(Some(candidate(curve, sinc, peak, rate_hz)).filter(|c| c.hz < ceiling_hz));
        }
    }
}

fn unvoiced_strength(peak: f64, global_peak: f64) -> f64 {
    let intensity = if peak > global_peak { 1.0 } else { peak / global_peak };
    let silence = 2.0 - intensity / (SILENCE_THRESHOLD / (1.0 + VOICING_THRESHOLD));
    // Digital silence: 0 / 0.
    VOICING_THRESHOLD + if silence.is_nan() { 2.0 } else { silence.max(0.0) }
}

impl Lattice {
    /// The pitch, once all frames are in; none if the sound is shorter than a window.
    pub(super) fn finish(self) -> Option<Pitch> {
        let hz = cheapest_path(&self.nodes, &self.candidates, self.ceiling_hz);
        let frames = self.walk.frames;
        (frames.n > 0).then_some(Pitch { hz, frames, duration_s: self.duration_s })
    }
}

/// Viterbi's path of greatest strength through the frames, changes of voicing and jumps in
/// frequency being paid for. The frequency of each frame.
fn cheapest_path(nodes: &[Node], candidates: &[Candidate], ceiling_hz: f64) -> Vec<Option<f64>> {
    /// A way to be in a frame: unvoiced or at a frequency, and the best sum up to here.
    struct State {
        octave: Option<f64>,
        sum: f64,
    }
    let (mut before, mut now) = (Vec::<State>::new(), Vec::<State>::new());
    // For each state of each frame the best one before it.
    let mut from = Vec::<u8>::with_capacity(nodes.len() + candidates.len());
    let mut first = 0;
    for node in nodes {
        let last = first + usize::from(node.n_candidates);
        now.clear();
        now.push(State { octave: None, sum: node.unvoiced_strength });
        now.extend(candidates[first..last].iter().map(|c| State {
            octave: Some(c.hz.log2()),
            sum: c.strength - OCTAVE_COST * (ceiling_hz / c.hz).log2(),
        }));
        first = last;
        for state in &mut now {
            let mut best = (f64::NEG_INFINITY, 0);
            for (i, before) in before.iter().enumerate() {
                let cost = match (before.octave, state.octave) {
                    (None, None) => 0.0,
                    (Some(a), Some(b)) => OCTAVE_JUMP_COST * (a - b).abs(),
                    _ => VOICING_COST,
                };
                if before.sum - cost > best.0 {
                    best = (before.sum - cost, i);
                }
            }
            if !before.is_empty() {
                state.sum += best.0;
            }
            from.push(best.1 as u8);
        }
        std::mem::swap(&mut before, &mut now);
    }
    let mut path = vec![None; nodes.len()];
    let last = before.iter().enumerate();
    // The first of equals, as when going forward.
    let mut place = last.rev().max_by(|a, b| a.1.sum.total_cmp(&b.1.sum)).map_or(0, |(i, _)| i);
    let (mut states_end, mut candidates_end) = (from.len(), candidates.len());
    for (hz, node) in path.iter_mut().zip(nodes).rev() {
        states_end -= usize::from(node.n_candidates) + 1;
        candidates_end -= usize::from(node.n_candidates);
        *hz = place.checked_sub(1).map(|i| candidates[candidates_end + i].hz);
        place = usize::from(from[states_end + place]);
    }
    path
}

impl Pitch {
    /// The next voiced stretch that starts after a time: its start and end in seconds.
    pub(super) fn voiced_after(&self, after_s: f64) -> Option<(f64, f64)> {
        let from = ((after_s - self.frames.first_s) / self.frames.step_s).ceil().max(0.0) as usize;
        let start = (from..self.hz.len()).find(|&i| self.hz[i].is_some())?;
        let voiced = self.hz[start..].iter().take(MOST_VOICED).take_while(|hz| hz.is_some());
        let length = voiced.count();
        let time = |i| self.frames.time(i);
        let from_s = time(start) - 0.5 * self.frames.step_s;
        let to_s = time(start + length - 1) + 0.5 * self.frames.step_s;
        if from_s >= self.duration_s - 0.5 * self.frames.step_s {
            return None;
        }
        Some((from_s.max(0.0), to_s.min(self.duration_s)))
    }

    /// The frequency at a time in Hz: linear between voiced frames, the next frame's where
    /// only that one is voiced.
    pub(crate) fn at(&self, time_s: f64) -> Option<f64> {
        if time_s < 0.0 || time_s > self.duration_s {
            return None;
        }
        let position = (time_s - self.frames.first_s) / self.frames.step_s;
        let left = position.floor();
        let phase = position - left;
        let (near, far, phase) =
            if phase < 0.5 { (left, left + 1.0, phase) } else { (left + 1.0, left, 1.0 - phase) };
        let value = |i: f64| {
            if i < 0.0 { None } else { self.hz.get(i as usize).copied().flatten() }
        };
        let near = value(near)?;
        Some(value(far).map_or(near, |far| near + phase * (far - near)))
    }
}
