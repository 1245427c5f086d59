//! Which rows a data set has, and in which split.

use std::collections::{BTreeMap, BTreeSet};

use voxage_contract::{Split, keys};
use voxage_dataset::{Columns, Dataset, Error, Pass};

use crate::house::{House, PASS, RULE, counts, name, pass};

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn of_split(dataset: &Dataset, split: Split) -> Vec<usize> {
    let found = pass(dataset, Pass { split, ..PASS });
    assert_eq!(dataset.len(split), found.len() as u64);
    found
}

#[test]
fn every_row_that_counts_is_in_one_split_once() {
    let house = House::new(5, |_| Split::Unspecified);
    let dataset = house.open();
    let seen: Vec<_> = SPLITS.iter().flat_map(|split| of_split(&dataset, *split)).collect();
    let expected: BTreeSet<_> = (0..100).filter(|&id| counts(id) && id != 80).collect();
    assert_eq!(seen.len(), expected.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn what_one_recording_says_holds_for_its_speaker_in_earlier_shards_too() {
    // Speaker s9 is of the rows 18 and 19 alone; its second row says nothing in a later one.
    let says = |id: usize| match id {
        60.. => Split::Test,
        40..60 => Split::Validation,
        1 => Split::Validation,
        _ => Split::Unspecified,
    };
    let house = House::new(5, says);
    let dataset = house.open();
    let mut splits = BTreeMap::new();
    for split in SPLITS {
        splits.extend(of_split(&dataset, split).into_iter().map(|id| (id, split)));
    }
    assert_eq!(splits[&0], Split::Validation, "as row 1, which came later");
    assert!(splits.range(60..).all(|(_, split)| *split == Split::Test));
    assert!(splits.range(40..60).all(|(_, split)| *split == Split::Validation));
}

#[test]
fn who_was_learned_from_before_is_not_tested() {
    let houses = [
        House::new(5, |_| Split::Unspecified),
        House::new(5, |id| if id < 50 { Split::Train } else { Split::Test }),
    ];
    let (before, mut later) = (houses[0].open(), houses[1].open());
    let was_tested = of_split(&before, Split::Test);
    assert_eq!(houses[0].open().leave_out_known(&before).unwrap(), 0);
    assert!(later.has_known(&before).unwrap() && !before.has_known(&before).unwrap());
    let (learned, tested) = (of_split(&later, Split::Train), of_split(&later, Split::Test));
    let left_out = later.leave_out_known(&before).unwrap();
    let unknown = of_split(&later, Split::Test);
    assert_eq!(left_out, (tested.len() - unknown.len()) as u64);
    let expected: Vec<_> = tested.into_iter().filter(|id| was_tested.contains(id)).collect();
    assert!(!expected.is_empty() && left_out > 0, "{expected:?} {left_out}");
    assert_eq!(unknown, expected);
    assert_eq!(of_split(&later, Split::Train), learned);
}

#[test]
fn a_divided_speaker_is_refused() {
    let house = House::new(2, |id| if id == 23 { Split::Test } else { Split::Train });
    let error = house.try_open(None).unwrap_err();
    assert!(matches!(error, Error::DividedSpeaker { .. }), "{error}");
}

#[test]
fn the_spectrogram_comes_along_only_if_asked_for() {
    let house = House::new(2, |_| Split::Train);
    let dataset = house.open();
    let bytes = |columns| {
        let pass = Pass { columns, ..PASS };
        let sizes = dataset.batches(pass, 9, 2, |_, samples| {
            samples.map(|sample| sample.mel().bytes.len()).sum::<usize>()
        });
        sizes.map(Result::unwrap).sum::<usize>()
    };
    assert_eq!(bytes(Columns::Table), 0);
    assert!(bytes(Columns::All) > 0);
    let table = Pass { columns: Columns::Table, ..PASS };
    assert_eq!(pass(&dataset, table), pass(&dataset, PASS));
}

#[test]
fn what_is_no_data_set_says_so() {
    let house = House::new(1, |_| Split::Train);
    let missing = keys::manifest(&name(), 2);
    house.put(&missing, &bytes::Bytes::from_static(b"{"));
    let store = std::sync::Arc::clone(&house.store);
    let error = Dataset::open(store, house.runtime.handle(), &missing, RULE, None).unwrap_err();
    assert!(error.to_string().contains(&missing), "{error}");
}
