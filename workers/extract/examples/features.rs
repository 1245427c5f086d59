//! Prints the features of recordings as JSON lines, for the parity script:
//! `cargo run --release -p voxage-extract --example features -- MEL_DIR FILE...`.
//!
//! The spectrograms go to `MEL_DIR/<line>.mel`, 32-bit floats `[n_frames, 128]` in dB.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use serde_json::{Map, json};
use voxage_contract::{FeatureSpec, MelStorage};
use voxage_extract::Extractor;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let mel_dir = PathBuf::from(args.next().expect("give the folder for spectrograms"));
    let mut spec = FeatureSpec::default();
    spec.mel.storage = MelStorage::F32;
    let mut extractor = Extractor::new(&spec);
    for (line, path) in args.enumerate() {
        let path = PathBuf::from(path);
        let found = match extractor.extract(File::open(&path)?, &BTreeMap::new()) {
            Ok(features) => {
                std::fs::write(mel_dir.join(format!("{line}.mel")), &features.mel.bytes)?;
                let columns = spec.columns().zip(&features.tabular);
                let tabular: Map<_, _> =
                    columns.map(|(column, value)| (column.name.into(), json!(value))).collect();
                json!({"path": path, "audio_s": features.audio.duration_s, "tabular": tabular})
            }
            Err(reject) => json!({"path": path, "code": reject.code, "message": reject.message}),
        };
        println!("{found}");
    }
    Ok(())
}
