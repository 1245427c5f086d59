//! The fundamental frequency of a voice over time.
//!
//! Definition: Praat's "Sound: To Pitch (ac)" with the settings of "To PointProcess
//! (periodic, cc)": Boersma (1993), the cheapest path through the frames' candidates.
//!
//! Always holds: frames are equally spaced; each has one frequency or none.

use super::candidates::{Candidate, Peak, candidate, keep_strongest, peaks};
use super::correlate::Correlator;
use super::sound::{Sound, frames};

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

/// A pitch track.
pub(super) struct Pitch {
    /// Frequency of each frame in Hz, if it is voiced.
    hz: Vec<Option<f64>>,
    first_s: f64,
    step_s: f64,
    duration_s: f64,
}

/// One frame of the lattice that the path goes through.
struct Node {
    /// Where the frame's candidates end; they start where those of the frame before end.
    end: usize,
    unvoiced_strength: f64,
}

/// A plan to follow pitch at one sample rate.
pub(super) struct PitchTracker {
    correlator: Correlator,
    peaks: Vec<Peak>,
}

impl PitchTracker {
    /// None if the sample rate is too low.
    pub(super) fn new(rate_hz: f64) -> Option<Self> {
        let correlator = Correlator::auto(rate_hz, FLOOR_HZ, PERIODS)?;
        Some(Self { correlator, peaks: Vec::new() })
    }

    /// None if the sound is shorter than a window.
    pub(super) fn track(&mut self, sound: Sound<'_>) -> Option<Pitch> {
        let window_s = PERIODS / FLOOR_HZ;
        let step_s = window_s / 4.0;
        let (n, first_s) = frames(sound, window_s, step_s)?;
        let global_peak = sound.peak_around_mean();
        let ceiling_hz = CEILING_HZ.min(0.5 * sound.rate_hz);
        let (mut nodes, mut candidates) = (Vec::with_capacity(n), Vec::new());
        for i in 0..n {
            let time = first_s + i as f64 * step_s;
            let peak = self.correlator.prepare(sound, time);
            let unvoiced_strength = unvoiced_strength(peak, global_peak);
            // Nothing is stronger than 1, and a way through an unvoiced frame costs at most
            // two changes of voicing: a frame as silent as this is unvoiced in any case.
            if peak > 0.0 && unvoiced_strength <= 1.0 + 2.0 * VOICING_COST {
                self.correlator.correlate(sound, time);
                self.find_candidates(sound.rate_hz, ceiling_hz, &mut candidates);
            }
            nodes.push(Node { end: candidates.len(), unvoiced_strength });
        }
        let hz = cheapest_path(&nodes, &candidates, ceiling_hz);
        Some(Pitch { hz, first_s, step_s, duration_s: sound.duration() })
    }

    /// Appends those candidates of the correlated frame that the path may go through.
    fn find_candidates(&mut self, rate_hz: f64, ceiling_hz: f64, out: &mut Vec<Candidate>) {
        let plan = &self.correlator;
        peaks(plan, 0.5 * VOICING_THRESHOLD, &mut self.peaks);
        keep_strongest(plan, &mut self.peaks, MOST, OCTAVE_COST);
        for &peak in &self.peaks {
            // Within a sample of its peak a candidate may come below the ceiling.
            if rate_hz / (peak.lag + 1) as f64 <= ceiling_hz {
                out.extend(Some(candidate(plan, peak, rate_hz)).filter(|c| c.hz < ceiling_hz));
            }
        }
    }
}

fn unvoiced_strength(peak: f64, global_peak: f64) -> f64 {
    let intensity = if peak > global_peak { 1.0 } else { peak / global_peak };
    let silence = 2.0 - intensity / (SILENCE_THRESHOLD / (1.0 + VOICING_THRESHOLD));
    // Digital silence: 0 / 0.
    VOICING_THRESHOLD + if silence.is_nan() { 2.0 } else { silence.max(0.0) }
}

/// Viterbi's path of greatest strength through the frames, changes of voicing and jumps in
/// frequency being paid for. The frequency of each frame.
fn cheapest_path(nodes: &[Node], candidates: &[Candidate], ceiling_hz: f64) -> Vec<Option<f64>> {
    /// A state: the sum up to here and the state before.
    #[derive(Clone, Copy)]
    struct State {
        octave: Option<f64>,
        sum: f64,
        from: u8,
    }
    let mut states: Vec<State> = Vec::with_capacity(nodes.len() + candidates.len());
    let mut starts = Vec::with_capacity(nodes.len() + 1);
    let (mut previous, mut first) = (0..0, 0);
    for node in nodes {
        let start = states.len();
        states.push(State { octave: None, sum: node.unvoiced_strength, from: 0 });
        states.extend(candidates[first..node.end].iter().map(|c| {
            let sum = c.strength - OCTAVE_COST * (ceiling_hz / c.hz).log2();
            State { octave: Some(c.hz.log2()), sum, from: 0 }
        }));
        let (done, new) = states.split_at_mut(start);
        for state in new {
            let mut best = (f64::NEG_INFINITY, 0);
            for (i, before) in done[previous.clone()].iter().enumerate() {
                let cost = match (before.octave, state.octave) {
                    (None, None) => 0.0,
                    (Some(a), Some(b)) => OCTAVE_JUMP_COST * (a - b).abs(),
                    _ => VOICING_COST,
                };
                if before.sum - cost > best.0 {
                    best = (before.sum - cost, i);
                }
            }
            if !previous.is_empty() {
                (state.sum, state.from) = (state.sum + best.0, best.1 as u8);
            }
        }
        starts.push(start);
        (previous, first) = (start..states.len(), node.end);
    }
    let mut path = vec![None; nodes.len()];
    let last = states[previous].iter().enumerate();
    // The first of equals, as when going forward.
    let mut place = last.rev().max_by(|a, b| a.1.sum.total_cmp(&b.1.sum)).map_or(0, |(i, _)| i);
    for (hz, start) in path.iter_mut().zip(&starts).rev() {
        let state = states[start + place];
        *hz = state.octave.map(f64::exp2);
        place = usize::from(state.from);
    }
    path
}

impl Pitch {
    /// The next voiced stretch that starts after a time: its start and end in seconds.
    pub(super) fn voiced_after(&self, after_s: f64) -> Option<(f64, f64)> {
        let from = ((after_s - self.first_s) / self.step_s).ceil().max(0.0) as usize;
        let start = (from..self.hz.len()).find(|&i| self.hz[i].is_some())?;
        let length = self.hz[start..].iter().take_while(|hz| hz.is_some()).count();
        let time = |i: usize| self.first_s + i as f64 * self.step_s;
        let from_s = time(start) - 0.5 * self.step_s;
        let to_s = time(start + length - 1) + 0.5 * self.step_s;
        if from_s >= self.duration_s - 0.5 * self.step_s {
            return None;
        }
        Some((from_s.max(0.0), to_s.min(self.duration_s)))
    }

    /// The frequency at a time in Hz: linear between voiced frames, the next frame's where
    /// only that one is voiced.
    pub(super) fn at(&self, time_s: f64) -> Option<f64> {
        if time_s < 0.0 || time_s > self.duration_s {
            return None;
        }
        let position = (time_s - self.first_s) / self.step_s;
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
