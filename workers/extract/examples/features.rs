//! x
use std::collections::BTreeMap;
use std::io::Write;
use voxage_contract::{FeatureSpec, MelStorage};
fn main() {
    let out = std::env::args().nth(1).unwrap();
    let mut spec = FeatureSpec::default();
    spec.mel.storage = MelStorage::F32;
    let mut ex = voxage_extract::Extractor::new(&spec);
    for p in std::env::args().skip(2) {
        let Ok(file) = std::fs::File::open(&p) else { continue };
        match ex.extract(file, &BTreeMap::new()) {
            Ok(f) => {
                let t: serde_json::Map<String, serde_json::Value> = spec
                    .columns()
                    .zip(&f.tabular)
                    .map(|(c, v)| (c.name.to_string(), serde_json::json!(v)))
                    .collect();
                println!(
                    "{}",
                    serde_json::json!({"path": p, "rate": f.audio.sample_rate_hz, "duration_s": f.audio.duration_s, "n_frames": f.mel.n_frames, "warnings": f.warnings.iter().map(|w| w.code()).collect::<Vec<_>>(), "tabular": t})
                );
                if out != "-" {
                    let name = std::path::Path::new(&p).file_name().unwrap().to_str().unwrap();
                    std::fs::File::create(format!("{out}/{name}.mel"))
                        .unwrap()
                        .write_all(&f.mel.bytes)
                        .unwrap();
                }
            }
            Err(r) => println!(
                "{}",
                serde_json::json!({"path": p, "reject": {"stage": r.stage, "code": r.code, "message": r.message}})
            ),
        }
    }
}
