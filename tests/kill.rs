//! `kill -9` at any moment: running again goes on, and every id is there exactly once.

mod common;

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Instant;

use common::{Place, QUICK, command, objects, run, sealed_rows};

const RECORDINGS: usize = 40;

#[test]
fn twenty_kills_lose_nothing() {
    let place = Place::new();
    let manifest = place.synth(RECORDINGS);
    let small = ["--shard-recordings", "3"];
    let start = Instant::now();
    run(&manifest, &place.text("whole"), &small);
    let mut whole = start.elapsed();
    // Not a clock's: a test that fails must fail again.
    let mut state = 20u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let (mut cut_off, mut round) = (0, 0);
    while cut_off < 20 {
        round += 1;
        assert!(round <= 60, "only {cut_off} of {round} runs were cut off");
        let root = place.text(&format!("root{round}"));
        let args = [&["run", manifest.to_str().unwrap(), "--root", &root], QUICK, &small].concat();
        let mut child = command(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: the kill takes the trainer along, as a power cut would.
            .process_group(0)
            .spawn()
            .unwrap();
        let moment = whole.mul_f64(random());
        std::thread::sleep(moment);
        let pid = rustix::process::Pid::from_child(&child);
        if round % 4 == 3 {
            // Now and then the command alone, and the trainer outlives it.
            child.kill().unwrap();
        } else {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        if child.wait().unwrap().success() {
            // The first run took longer than others do: on a machine that was busy then.
            whole = whole.mul_f64(0.8);
        } else {
            cut_off += 1;
        }
        let answer = run(&manifest, &root, &small);
        assert_eq!(answer["recordings"]["submitted"], RECORDINGS, "killed after {moment:?}");
        let rows =
            sealed_rows(&place.path(&format!("root{round}")), answer["manifest"].as_str().unwrap());
        assert_eq!(rows.len(), RECORDINGS);
        let keys = objects(&place.path(&format!("root{round}")));
        assert_eq!(keys.iter().filter(|key| key.ends_with("/card.json")).count(), 1, "{keys:?}");
    }
}
