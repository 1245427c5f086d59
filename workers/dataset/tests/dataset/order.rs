//! The laws of the order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use voxage_contract::Split;
use voxage_dataset::{BLOCK_ROWS, Order, Pass, Place};

use crate::house::{House, PASS, ROWS, batches, pass};

const fn shuffled(seed: u64, epoch: u64) -> Order {
    Order::Shuffled { seed, epoch }
}

#[test]
fn the_order_follows_from_the_seed() {
    let house = House::new(5, |_| Split::Train);
    let dataset = house.open();
    let of = |order| pass(&dataset, Pass { order, ..PASS });
    let first = of(shuffled(1, 1));
    assert_eq!(first, of(shuffled(1, 1)));
    assert_eq!(first, pass(&house.open(), Pass { order: shuffled(1, 1), ..PASS }));
    assert_ne!(first, of(shuffled(1, 2)));
    assert_ne!(first, of(shuffled(2, 1)));
    let mut sorted = first;
    sorted.sort_unstable();
    assert_eq!(sorted, of(Order::Stored));
}

#[test]
fn an_order_is_what_is_read() {
    let house = House::new(5, |_| Split::Train);
    let dataset = house.open();
    let order = shuffled(3, 4);
    let stored = pass(&dataset, PASS);
    let row = |place: Place| {
        let mut of_shard = stored.iter().filter(|&&id| id / ROWS == place.shard);
        *of_shard.nth(place.row).unwrap()
    };
    let told: Vec<_> = dataset.order(Split::Train, order).map(row).collect();
    assert_eq!(told, pass(&dataset, Pass { order, ..PASS }));
}

#[test]
fn any_position_can_be_started_at() {
    let house = House::new(5, |_| Split::Train);
    let dataset = house.open();
    let whole = Pass { order: shuffled(1, 1), ..PASS };
    let all = pass(&dataset, whole);
    for start in [0, 1, 7, 8, 50, all.len() - 1, all.len(), all.len() + 5] {
        let tail = pass(&dataset, Pass { start: start as u64, ..whole });
        assert_eq!(tail, all[start.min(all.len())..], "from {start}");
    }
    let firsts =
        dataset.batches(Pass { start: 16, ..whole }, 8, 2, |first, samples| (first, samples.len()));
    let firsts: Vec<_> = firsts.map(Result::unwrap).collect();
    let expected: Vec<_> =
        (16..all.len()).step_by(8).map(|n| (n as u64, (all.len() - n).min(8))).collect();
    assert_eq!(firsts, expected);
}

#[test]
fn a_small_data_set_is_shuffled_whole() {
    let house = House::new(40, |_| Split::Train);
    let dataset = house.open();
    assert!(dataset.len(Split::Train) < BLOCK_ROWS);
    let stored = dataset.quality(Split::Train, Order::Stored);
    assert_eq!((stored.storage, stored.samples), (1.0, dataset.len(Split::Train)));
    assert!(stored.neighbours > 0.99);
    for epoch in 0..20 {
        let quality = dataset.quality(Split::Train, shuffled(1, epoch));
        // By chance 1 / √n is usual, four times that is not.
        let most = 4.0 / (quality.samples as f64).sqrt();
        assert!(quality.storage.abs() < most && quality.neighbours.abs() < most, "{quality:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_pass_has_every_sample_once_however_it_is_cut(
        (seed, epoch) in (any::<u64>(), any::<u64>()),
        size in 1..70usize,
        threads in 1..4usize,
        start in 0..60u64,
    ) {
        let house = House::new(3, |_| Split::Train);
        let dataset = house.open();
        let of = Pass { order: shuffled(seed, epoch), start, ..PASS };
        let found: Vec<_> = batches(&dataset, of, size, threads).map(Result::unwrap).collect();
        prop_assert!(found.iter().rev().skip(1).all(|batch| batch.len() == size));
        let found = found.concat();
        prop_assert_eq!(&found, &pass(&dataset, of));
        let once: BTreeSet<_> = found.iter().collect();
        prop_assert_eq!(once.len(), found.len());
        prop_assert_eq!(found.len() as u64, dataset.len(Split::Train).saturating_sub(start));
    }
}
