//! Measures the extractor: `bench SPEC.json N_THREADS GIVEN,...`, with the files on standard
//! input, one a line. Columns named as given are not computed. Prints the seconds, those that
//! the threads were on a processor, those of audio, and the process' greatest memory in kB.
//! For tests/bench/extract.py.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::stdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use voxage_contract::FeatureSpec;
use voxage_extract::Extractor;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [spec, n_threads, given] = &args[..] else { return Err("what to measure?".into()) };
    let spec: FeatureSpec = serde_json::from_str(spec)?;
    let given: BTreeMap<_, _> = given.split(',').map(|name| (name.to_owned(), 1.0)).collect();
    let files = stdin().lines().collect::<Result<Vec<_>, _>>()?;
    let next = AtomicUsize::new(0);
    let work = || -> (f64, f64) {
        let mut extractor = Extractor::new(&spec).expect("weights are there");
        let mut audio_s = 0.0;
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = File::open(file).expect("it is there");
            let features = extractor.extract(file, &given).expect("it is sound");
            audio_s += features.audio.duration_s;
        }
        (audio_s, thread_cpu_s())
    };
    let start = Instant::now();
    let (audio_s, cpu_s) = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..n_threads.parse().unwrap_or(1)).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|thread| thread.join().expect("no file stops it"));
        done.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kb: u64 = peak.unwrap_or_default().trim_end_matches("kB").trim().parse()?;
    println!("{seconds} {cpu_s} {audio_s} {peak_kb}");
    Ok(())
}

/// Seconds that this thread was on a processor, as Linux counts them.
fn thread_cpu_s() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = times.split(' ').next().and_then(|x| x.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}
