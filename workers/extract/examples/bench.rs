//! Seconds that one thread takes for the features of some files: `bench SPEC.json FILE...`.
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::time::Instant;

use voxage_extract::Extractor;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let spec = serde_json::from_str(&args.next().ok_or("which spec?")?)?;
    let files: Vec<String> = args.collect();
    let mut extractor = Extractor::new(&spec);
    let given: BTreeMap<String, f64> = std::env::var("GIVEN")
        .unwrap_or_default()
        .split(",")
        .map(|n| (n.to_owned(), 1.0))
        .collect();
    for _ in 0..2 {
        let (start, mut audio_s) = (Instant::now(), 0.0);
        for file in &files {
            if let Ok(features) = extractor.extract(File::open(file)?, &given) {
                audio_s += features.audio.duration_s;
            }
        }
        let took = start.elapsed().as_secs_f64();
        println!("{took:.3} s, {:.0} x real time", audio_s / took);
    }
    Ok(())
}
