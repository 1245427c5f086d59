//! The register of a data set's batches: which there are, planned, or cancelled.
//!
//! Always holds: it is read by one listing. A batch is planned only once all before it are,
//! so that of two submissions of an id the later one counts. Cancelling a batch withdraws
//! all that it planned; the batches behind it are then planned once more, because they
//! may hold recordings that the cancelled one already had.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::TryStreamExt as _;
use voxage_contract::{BatchId, Name, keys};
use voxage_transport::{Put, Store, StoreExt as _};

use crate::{Error, Result};

/// The batches of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Register(BTreeMap<u64, Entry>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Entry {
    cancelled: bool,
    /// How many earlier batches were cancelled when it was last planned.
    planned: Option<u64>,
}

impl Register {
    /// Reads the register of a data set.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read(store: &dyn Store, dataset: &Name) -> Result<Self> {
        let prefix = keys::batches(dataset);
        let mut register = Self::default();
        let mut listing = store.list(&prefix, None);
        while let Some(object) = listing.try_next().await? {
            let number = keys::number_of(&object.key, &prefix)
                .ok_or_else(|| Error::damaged(&object.key, "it belongs to no batch"))?;
            let entry = register.0.entry(number).or_default();
            if object.key == keys::cancelled(dataset, number) {
                entry.cancelled = true;
            } else if let Some((_, file)) = object.key.split_once("/planned/") {
                entry.planned = entry.planned.max(keys::number_of(file, ""));
            }
        }
        Ok(register)
    }

    /// The number of the last batch; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.keys().next_back().copied().unwrap_or(0)
    }

    /// The newest batch that is not cancelled: its spec is the data set's.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.0.iter().rev().find(|(_, entry)| !entry.cancelled).map(|(number, _)| *number)
    }

    /// The batches that no longer count.
    #[must_use]
    pub fn cancelled(&self) -> BTreeSet<u64> {
        self.0.iter().filter(|(_, entry)| entry.cancelled).map(|(number, _)| *number).collect()
    }

    /// All batches, oldest first.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    /// The batches that count, oldest first.
    pub fn standing(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.0.iter().filter(|(_, entry)| !entry.cancelled).map(|(number, _)| *number)
    }

    /// How many batches before this one are cancelled.
    #[must_use]
    pub fn withdrawn_before(&self, number: u64) -> u64 {
        self.0.range(..number).filter(|(_, entry)| entry.cancelled).count() as u64
    }

    /// Whether a batch's recordings are in the plans.
    #[must_use]
    pub fn is_planned(&self, number: u64) -> bool {
        let planned = self.0.get(&number).and_then(|entry| entry.planned);
        planned.is_some_and(|seen| seen >= self.withdrawn_before(number))
    }

    /// The batch to be planned next.
    #[must_use]
    pub fn next_unplanned(&self) -> Option<u64> {
        self.standing().find(|number| !self.is_planned(*number))
    }
}

/// Cancels a batch; false if it was cancelled before.
///
/// # Errors
/// If there is no such batch, or the store fails.
pub async fn cancel(store: &dyn Store, batch: &BatchId) -> Result<bool> {
    let BatchId { dataset, number } = batch;
    if !store.exists(&keys::batch(dataset, *number)).await? {
        return Err(Error::NoBatch(batch.clone()));
    }
    let put = store.put_new(&keys::cancelled(dataset, *number), Bytes::from_static(b"{}")).await?;
    Ok(put == Put::Created)
}

/// The data sets that have batches.
///
/// # Errors
/// If the store fails.
pub async fn datasets(store: &dyn Store) -> Result<BTreeSet<Name>> {
    let mut listing = store.list(keys::BATCHES, None);
    let mut names = BTreeSet::new();
    while let Some(object) = listing.try_next().await? {
        names.extend(keys::batched_dataset(&object.key));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(entries: &[(bool, Option<u64>)]) -> Register {
        let entry = |(number, (cancelled, planned)): (u64, &(bool, Option<u64>))| {
            (number, Entry { cancelled: *cancelled, planned: *planned })
        };
        Register((1..).zip(entries).map(entry).collect())
    }

    #[test]
    fn batches_are_planned_in_order_and_again_after_a_cancelled_one() {
        let check = |entries: &[(bool, Option<u64>)], next| {
            assert_eq!(register(entries).next_unplanned(), next, "{entries:?}");
        };
        check(&[], None);
        check(&[(false, None), (false, None)], Some(1));
        check(&[(false, Some(0)), (false, None)], Some(2));
        check(&[(false, Some(0)), (false, Some(0))], None);
        check(&[(true, Some(0)), (false, Some(0))], Some(2));
        check(&[(true, None), (false, Some(1))], None);
        check(&[(false, Some(0)), (true, None), (false, Some(1)), (false, Some(0))], Some(4));
    }

    #[test]
    fn the_newest_that_stands_gives_the_spec() {
        let register = register(&[(false, Some(0)), (false, None), (true, None)]);
        assert_eq!((register.last(), register.newest()), (3, Some(2)));
        assert_eq!(register.standing().collect::<Vec<_>>(), [1, 2]);
    }
}
