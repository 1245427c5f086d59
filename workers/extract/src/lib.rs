//! From the bytes of a recording to its samples, and from those to a log-mel spectrogram,
//! tabular columns and an embedding.
//!
//! Always holds: everything here is pure and synchronous, and no input makes it panic.
//! It does not know where recordings come from or where features go.

mod clean;
mod columns;
mod decode;
mod embedding;
mod extractor;
mod fft;
mod lanes;
mod level;
mod mel;
mod mix;
mod praat;
mod resample;
mod spectral;
mod spectrum;
mod speech;
pub mod synth;
mod tempo;

pub use decode::{probe, samples};
pub use embedding::{Encoder, Weights, WeightsError};
pub use extractor::Extractor;
