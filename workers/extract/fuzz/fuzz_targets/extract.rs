//! All features of arbitrary bytes.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use voxage_extract::Extractor;
use voxage_extract_fuzz::{extract, judge_panics, mend_ogg, whole};

thread_local! {
    static EXTRACTOR: RefCell<Extractor> = RefCell::new(whole());
}

fuzz_target!(init: judge_panics(), |bytes: &[u8]| {
    EXTRACTOR.with_borrow_mut(|extractor| extract(extractor, bytes));
});

fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let size = fuzzer_mutate(bytes, size, max_size);
    mend_ogg(&mut bytes[..size]);
    size
});
