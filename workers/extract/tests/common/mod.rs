//! Synthetic recordings that tests and the oracle scripts share, and the measure of agreement.
//!
//! Always holds: what is written here as a WAV for the oracle is what tests extract from.
#![allow(dead_code, reason = "each test and example uses a part of it")]

pub mod agreement;

use std::path::PathBuf;
use std::sync::Arc;

use voxage_contract::Gender;
use voxage_extract::Weights;
use voxage_extract::synth::Speaker;

/// How the samples of a recording are coded.
#[derive(Clone, Copy)]
pub enum Coding {
    Pcm16,
    Pcm24,
    Float32,
}

/// A synthetic recording.
pub struct Recording {
    pub name: &'static str,
    pub rate_hz: u32,
    pub channels: Vec<Vec<f32>>,
    pub coding: Coding,
}

/// The recordings whose features are known from the oracles.
pub fn recordings() -> Vec<Recording> {
    use Coding::{Float32, Pcm16, Pcm24};
    use Gender::{Female, Male};
    [
        ("22050_mono", 30.0, Female, 22_050, 1, Pcm16),
        ("22050_stereo", 65.0, Male, 22_050, 2, Pcm16),
        ("22050_float", 78.0, Female, 22_050, 1, Float32),
        ("8000_mono", 50.0, Female, 8_000, 1, Pcm16),
        ("11025_float", 80.0, Male, 11_025, 1, Float32),
        ("16000_mono", 20.0, Female, 16_000, 1, Pcm16),
        ("37800_mono", 35.0, Male, 37_800, 1, Pcm16),
        ("44100_stereo", 25.0, Male, 44_100, 2, Pcm16),
        ("48000_24bit", 45.0, Male, 48_000, 1, Pcm24),
        ("48000_six", 60.0, Female, 48_000, 6, Float32),
    ]
    .into_iter()
    .enumerate()
    .map(|(i, (name, age, gender, rate_hz, n_channels, coding))| {
        let speaker = Speaker::new(i as u64, age, gender);
        // Every further channel is a farther microphone with another voice behind.
        let channels = (0..n_channels).map(|channel| {
            let near = speaker.utter(0, 2.0, rate_hz);
            let far = speaker.utter(channel, 2.0, rate_hz);
            let gain = 1.0 / (1.0 + channel as f32);
            near.iter().zip(&far).map(|(near, far)| gain * near + 0.2 * far).collect()
        });
        Recording { name, rate_hz, channels: channels.collect(), coding }
    })
    .collect()
}

impl Recording {
    /// The bytes of a WAV file.
    pub fn wav(&self) -> Vec<u8> {
        let (tag, width) = match self.coding {
            Coding::Pcm16 => (1u16, 2),
            Coding::Pcm24 => (1, 3),
            Coding::Float32 => (3, 4),
        };
        let n_channels = self.channels.len() as u32;
        let n_bytes = n_channels * width * self.channels[0].len() as u32;
        let mut bytes = Vec::new();
        bytes.extend(b"RIFF");
        bytes.extend((36 + n_bytes).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0");
        bytes.extend(tag.to_le_bytes());
        bytes.extend((n_channels as u16).to_le_bytes());
        bytes.extend(self.rate_hz.to_le_bytes());
        bytes.extend((self.rate_hz * n_channels * width).to_le_bytes());
        bytes.extend(((n_channels * width) as u16).to_le_bytes());
        bytes.extend(((8 * width) as u16).to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(n_bytes.to_le_bytes());
        for i in 0..self.channels[0].len() {
            for channel in &self.channels {
                let x = channel[i];
                match self.coding {
                    Coding::Pcm16 => bytes.extend(((x * 32_767.0).round() as i16).to_le_bytes()),
                    Coding::Pcm24 => {
                        let x = (x * 8_388_607.0).round() as i32;
                        bytes.extend(&x.to_le_bytes()[..3]);
                    }
                    Coding::Float32 => bytes.extend(x.to_le_bytes()),
                }
            }
        }
        bytes
    }
}

/// The voice that all format fixtures hold, as 16-bit samples.
pub fn fixture_voice(rate_hz: u32) -> Vec<f32> {
    Speaker::new(7, 45.0, Gender::Female).utter(0, 0.9, rate_hz)
}

/// Voices at 16 kHz whose embeddings are known from the oracle: a single window, silence
/// included; some; and some below the level that voices are raised to.
pub fn embedding_voices() -> [Recording; 3] {
    use Gender::{Female, Male};
    let voices =
        [("short", 0.9, Female, 1.0), ("long", 7.3, Male, 1.0), ("quiet", 3.1, Male, 0.01)];
    voices.map(|(name, seconds, gender, gain)| {
        let voice = Speaker::new(11, 33.0, gender).utter(0, seconds, 16_000);
        let channels = vec![voice.iter().map(|x| gain * x).collect()];
        Recording { name, rate_hz: 16_000, channels, coding: Coding::Float32 }
    })
}

/// The speaker encoder's weights, if they are anywhere.
pub fn weights() -> Option<Arc<Weights>> {
    let path = Weights::path();
    if !path.exists() {
        eprintln!("SKIPPED: no weights at {}; run deploy/weights", path.display());
        return None;
    }
    Some(Arc::new(Weights::load(&path).expect("these are the weights")))
}

/// Where the real recordings are, if they are anywhere: `VOXAGE_DATA`, else `shared/data`
/// beside the workspace.
pub fn real_data() -> Option<PathBuf> {
    let beside = || "../../../shared/data".into();
    let path = std::env::var_os("VOXAGE_DATA").map_or_else(beside, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no real recordings at {}; set VOXAGE_DATA", path.display());
    None
}

/// |a - b| relative to b.
pub fn relative_error(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { (a - b).abs() / b.abs().max(f64::MIN_POSITIVE) }
}
