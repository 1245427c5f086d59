//! The first samples of arbitrary bytes, and all of them.
#![no_main]

use std::cell::RefCell;
use std::io::Cursor;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use voxage_extract::Extractor;
use voxage_extract_fuzz::{extract, judge_panics, mend_ogg, plain};

thread_local! {
    static EXTRACTOR: RefCell<Extractor> = RefCell::new(plain());
}

fuzz_target!(init: judge_panics(), |bytes: &[u8]| {
    let probed = voxage_extract::probe(Cursor::new(bytes.to_vec()));
    let features = EXTRACTOR.with_borrow_mut(|extractor| extract(extractor, bytes));
    assert!(features.is_none() || probed.is_ok(), "probing refuses what can be decoded");
});

fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let size = fuzzer_mutate(bytes, size, max_size);
    mend_ogg(&mut bytes[..size]);
    size
});
