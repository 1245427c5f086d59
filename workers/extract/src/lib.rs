//! From the bytes of a recording to its samples, and from those to a log-mel spectrogram
//! and tabular columns.
//!
//! Always holds: everything here is pure and synchronous, and no input makes it panic.
//! It does not know where recordings come from or where features go.

mod decode;
mod extractor;
mod fft;
mod level;
mod mel;
mod praat;
mod resample;
mod spectral;
mod spectrum;
mod tempo;

pub use decode::probe;
pub use extractor::Extractor;

#[doc(hidden)]
pub fn debug_praat(path: &str) -> String {
    let d = decode::decode(std::fs::File::open(path).unwrap()).unwrap();
    praat::debug(&d.channels, d.info.sample_rate_hz)
}
#[doc(hidden)]
pub fn debug_resample(path: &str) -> Vec<f32> {
    let d = decode::decode(std::fs::File::open(path).unwrap()).unwrap();
    let n = d.channels.len() as f32;
    let m: Vec<f32> = (0..d.channels[0].len()).map(|i| d.channels.iter().map(|c| c[i]).sum::<f32>() / n).collect();
    resample::Resampler::new(d.info.sample_rate_hz).run(&m)
}
