//! Writes the synthetic recordings that the oracle scripts measure and encode:
//! `cargo run -p voxage-extract --example golden_wavs -- DIR`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Result;
use std::path::PathBuf;

use voxage_extract::synth::wav_bytes;

fn main() -> Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).expect("give the folder to write to"));
    std::fs::create_dir_all(&dir)?;
    for recording in common::recordings() {
        std::fs::write(dir.join(recording.name).with_extension("wav"), recording.wav())?;
    }
    for voice in common::embedding_voices() {
        std::fs::write(dir.join(format!("voice_speaker_{}.wav", voice.name)), voice.wav())?;
    }
    for rate_hz in [8_000, 16_000] {
        let voice = common::fixture_voice(rate_hz);
        std::fs::write(dir.join(format!("voice_{rate_hz}.wav")), wav_bytes(&voice, rate_hz))?;
    }
    Ok(())
}
