//! The vocal tract: resonators one after the other (Klatt, 1980).
//!
//! Always holds: every resonance passes 0 Hz unchanged.

/// A resonance of the tract.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resonance {
    pub(super) hz: f64,
    pub(super) width_hz: f64,
}

/// The state of five resonators.
pub(super) struct Tract {
    rate: f64,
    /// The last two samples of each.
    memory: [[f64; 2]; 5],
}

impl Tract {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, memory: [[0.0; 2]; 5] }
    }

    /// The next sample; resonances above what the rate can hold are left out.
    pub(super) fn filter(&mut self, source: f64, resonances: &[Resonance; 5]) -> f64 {
        use std::f64::consts::PI;
        let mut sound = source;
        for (resonance, memory) in resonances.iter().zip(&mut self.memory) {
            if resonance.hz > 0.45 * self.rate {
                continue;
            }
            let decay = (-PI * resonance.width_hz / self.rate).exp();
            let c = -decay * decay;
            let b = 2.0 * decay * (2.0 * PI * resonance.hz / self.rate).cos();
            sound = (1.0 - b - c) * sound + b * memory[0] + c * memory[1];
            *memory = [sound, memory[0]];
        }
        sound
    }
}
