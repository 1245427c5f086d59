//! Threads: the same batches from any number of them, and no harm from what goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use voxage_contract::{FeatureSpec, Mel, MelStorage, Split};
use voxage_dataset::{Error, Order, Pass, Result};
use voxage_shards::encode;

use crate::house::{
    House, PASS, ROWS, batches, copy_over, key, manifest, number, row, sealed, shard_id,
};

const SHUFFLED: Pass = Pass { order: Order::Shuffled { seed: 1, epoch: 1 }, ..PASS };

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits until something is so.
fn until(otherwise: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{otherwise}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn batches_are_the_same_for_any_number_of_threads() {
    let house = House::new(12, |_| Split::Train);
    let dataset = house.open();
    let of = |threads| -> Vec<_> {
        batches(&dataset, SHUFFLED, 7, threads).map(Result::unwrap).collect()
    };
    let one = of(1);
    assert!(one.len() > 20);
    for threads in [2, 7] {
        assert_eq!(of(threads), one);
    }
}

#[test]
fn a_consumer_may_leave_early() {
    let house = House::new(12, |_| Split::Train);
    let dataset = house.open();
    let before = threads();
    for taken in [0, 1, 3] {
        for n in [1, 4] {
            let left = batches(&dataset, SHUFFLED, 4, n).take(taken).map(Result::unwrap);
            assert_eq!(left.count(), taken);
        }
    }
    // The runtime's own threads come with the first read of a file.
    assert!(threads() <= before + 20, "{} threads, before {before}", threads());
    // What was being read when its pass was left is aborted, which takes a moment.
    until("the store is still being read", || Arc::strong_count(&house.store) == 2);
}

#[test]
fn a_pass_is_cut_off_when_it_is_not_wanted_any_more() {
    let stop = Arc::new(AtomicBool::new(false));
    let house = House::new(12, |_| Split::Train);
    let dataset = house.open().until(&stop);
    let mut some = batches(&dataset, SHUFFLED, 4, 2);
    some.next().unwrap().unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(some.next(), Some(Err(Error::Stopped))));
    assert!(some.next().is_none());
}

#[test]
fn batches_do_not_run_ahead_of_their_consumer() {
    let house = House::new(12, |_| Split::Train);
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let dataset = house.open();
    let mut batches = dataset.batches(PASS, 4, 2, move |_, samples| {
        count.fetch_add(1, Ordering::SeqCst);
        samples.count()
    });
    batches.next().unwrap().unwrap();
    until("nothing is made ahead", || made.load(Ordering::SeqCst) == 4);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(made.load(Ordering::SeqCst), 4, "one was taken, three may wait");
    assert!(!batches.all_begun());
    for _ in 4..dataset.len(Split::Train).div_ceil(4) {
        batches.next().unwrap().unwrap();
    }
    // Before anybody has taken the last three.
    until("the last are not made ahead", || batches.all_begun());
    assert_eq!(batches.count(), 3);
}

#[test]
fn a_panic_reaches_the_consumer() {
    let house = House::new(3, |_| Split::Train);
    let dataset = house.open();
    let batches = dataset.batches(PASS, 4, 3, |first, samples| {
        assert!(first != 20, "no more");
        samples.count()
    });
    let mut taken = 0;
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        batches.for_each(|_| taken += 1);
    }));
    let message = *ended.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!((message, taken), ("no more", 5));
}

#[test]
fn a_damaged_shard_is_named_where_its_rows_would_have_been() {
    let house = House::new(4, |_| Split::Train);
    let dataset = house.open();
    let first: Vec<_> = batches(&dataset, PASS, 5, 2).map(Result::unwrap).collect();
    // Opened again, so that nothing is verified yet.
    let dataset = house.open();
    copy_over(&house.file(2), |bytes| {
        let last = bytes.len() - 1;
        bytes[last / 2] ^= 1;
    });
    for threads in [1, 3] {
        let mut found = Vec::new();
        let error = batches(&dataset, PASS, 5, threads).find_map(|batch| match batch {
            Ok(batch) => {
                found.push(batch);
                None
            }
            Err(error) => Some(error),
        });
        let error = error.unwrap();
        assert!(matches!(&error, Error::Damaged { key: found, .. } if *found == key(2)), "{error}");
        assert!(first.starts_with(&found));
    }
    std::fs::remove_file(house.file(2)).unwrap();
    let error = batches(&dataset, PASS, 5, 2).find_map(Result::err).unwrap();
    assert!(error.to_string().contains(&key(2)), "{error}");
}

#[test]
fn a_shard_that_is_not_the_sealed_one_is_refused() {
    let house = House::new(2, |_| Split::Train);
    let dataset = house.open();
    // A whole shard, but another.
    let other = std::fs::read(house.file(1)).unwrap();
    copy_over(&house.file(0), |bytes| *bytes = other);
    let error = house.try_open(None).unwrap_err();
    assert!(error.to_string().contains(&key(0)), "{error}");
    let error = batches(&dataset, PASS, 5, 2).find_map(Result::err).unwrap();
    assert!(error.to_string().contains("not the shard that was sealed"), "{error}");
}

#[test]
fn rows_are_compared_with_their_digest_once() {
    let house = House::new(1, |_| Split::Train);
    let dataset = house.open();
    let read = || {
        let numbers = dataset.batches(PASS, 5, 1, |_, samples| {
            samples.map(|sample| number(&sample) as u64).sum::<u64>()
        });
        numbers.sum::<Result<u64>>()
    };
    read().unwrap();
    // The least bit of a scale is other now, and pages have no checksums: only the digest
    // tells.
    let scale = Mel::encode(&[17.0, -1.0], MelStorage::U8).scale.to_le_bytes();
    copy_over(&house.file(0), |bytes| {
        let at = bytes.windows(4).position(|four| four == scale).unwrap();
        bytes[at] ^= 1;
    });
    assert!(read().is_ok(), "it was read before");
    let error = house
        .try_open(None)
        .and_then(|again| batches(&again, PASS, 5, 1).collect::<Result<Vec<_>>>());
    assert!(error.unwrap_err().to_string().contains("not those that were written"));
}

#[test]
fn of_a_shard_that_was_planned_again_the_newer_entry_counts() {
    let house = House::empty();
    let rows: Vec<_> = (0..ROWS).map(|id| row(id, Split::Train)).collect();
    let bytes = encode("s", &FeatureSpec::default(), &rows).unwrap();
    house.put(&key(0), &bytes);
    let newer = sealed(shard_id(0), &bytes);
    let mut older = newer.clone();
    older.replaced = (0..ROWS as u32).collect();
    let manifest = manifest(vec![older, newer]);
    let shard = shard_id(0);
    let read = voxage_dataset::rows(&*house.store, &manifest, &shard);
    assert_eq!(house.runtime.block_on(read).unwrap().len(), ROWS);
}
