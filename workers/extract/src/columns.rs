//! The values of a spec's columns while they are being found.
//!
//! Always holds: a value that was given stays as it is; one that is not finite is not known.

use std::collections::BTreeMap;

use voxage_contract::FeatureSpec;
use voxage_contract::columns::TabularSet;

/// One slot for each column of a spec, in its order.
pub(crate) struct Columns(Vec<Slot>);

struct Slot {
    name: &'static str,
    value: Option<f64>,
    given: bool,
}

impl Columns {
    pub(crate) fn new(spec: &FeatureSpec, given: &BTreeMap<String, f64>) -> Self {
        let slot = |name: &'static str| {
            let value = given.get(name).copied().filter(|x| x.is_finite());
            Slot { name, value, given: given.contains_key(name) }
        };
        Self(spec.columns().map(|column| slot(column.name)).collect())
    }

    /// Whether any of these columns has to be computed.
    pub(crate) fn want(&self, names: &[&str]) -> bool {
        self.0.iter().any(|slot| !slot.given && names.contains(&slot.name))
    }

    /// Whether any column of a set has to be computed.
    pub(crate) fn want_any(&self, set: TabularSet) -> bool {
        set.columns().iter().any(|column| self.want(&[column.name]))
    }

    /// Sets a column, if it has to be computed.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Option<f64>>) {
        if let Some(slot) = self.0.iter_mut().find(|slot| slot.name == name && !slot.given) {
            slot.value = value.into().filter(|x| x.is_finite());
        }
    }

    pub(crate) fn into_values(self) -> Vec<Option<f64>> {
        self.0.into_iter().map(|slot| slot.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_stays() {
        let given = [("hnr".to_owned(), -3.0), ("num_words".to_owned(), f64::NAN)].into();
        let spec = FeatureSpec::default();
        let mut columns = Columns::new(&spec, &given);
        assert!(!columns.want(&["hnr"]) && columns.want(&["hnr", "tempo"]));
        columns.set("hnr", 7.0);
        columns.set("tempo", 120.0);
        columns.set("jitter", f64::NAN);
        columns.set("shimmer", None);
        let values = columns.into_values();
        let named: BTreeMap<_, _> = spec.columns().map(|c| c.name).zip(values).collect();
        assert_eq!((named["hnr"], named["tempo"]), (Some(-3.0), Some(120.0)));
        assert_eq!([named["jitter"], named["shimmer"], named["num_words"]], [None; 3]);
    }
}
