//! Which recordings are held out together.
//!
//! Always holds: every recording is in one fold, no fold is empty, and each fold says of
//! itself what is in it, so that trainings cut as this does.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use voxage_contract::training::Fold;

use super::{Case, Request};
use crate::{Error, Result};

/// Cuts the recordings into the folds of a study, and tells each its own.
pub(crate) fn cut(request: &Request, cases: &mut [Case]) -> Result<Vec<Fold>> {
    let of = request.folds;
    if !(2..=1000).contains(&of) || !(1..=1000).contains(&request.seeds) {
        return Err(Error::Study("give 2 to 1000 folds, and 1 to 1000 seeds".into()));
    }
    for column in request.by.iter().chain(&request.hold_out) {
        known(column, cases)?;
    }
    let mut folds = match &request.hold_out {
        None => (0..of).map(|index| Fold::Speakers { index, of }).collect(),
        Some(column) => by_value(column, of, cases),
    };
    let value =
        |case: &Case| case.recording.value(request.hold_out.as_deref().unwrap_or("")).to_owned();
    folds.retain(|fold| cases.iter().any(|case| fold.has(case.speaker(), &value(case))));
    if folds.len() < 2 {
        let what = match &request.hold_out {
            Some(column) => format!("all recordings have the same value in column '{column}'"),
            None => "the recordings with an age are of too few speakers".into(),
        };
        return Err(Error::Study(format!("{what}: nothing is left to learn from")));
    }
    for case in &mut *cases {
        let value = value(case);
        case.fold = folds.iter().position(|fold| fold.has(case.speaker(), &value));
    }
    for fold in 0..folds.len() {
        let held = cases.iter().filter(|case| case.fold == Some(fold));
        let held: HashSet<_> = held.map(Case::speaker).collect();
        if cases.iter().all(|case| held.contains(case.speaker())) {
            return Err(Error::Study(format!(
                "speakers tie the values of column '{}' together: all of them are in one fold, and \
                 without what they said nothing is left to learn from; hold out another column, or \
                 speakers (without --hold-out)",
                request.hold_out.as_deref().unwrap_or_default()
            )));
        }
    }
    Ok(folds)
}

/// Refuses a column that no recording has anything in.
fn known(column: &str, cases: &[Case]) -> Result<()> {
    if cases.iter().any(|case| !case.recording.value(column).is_empty()) {
        return Ok(());
    }
    let names: BTreeSet<_> = cases.iter().flat_map(|case| case.recording.metadata.keys()).collect();
    let names: Vec<_> = names.into_iter().map(String::as_str).chain(["gender"]).collect();
    Err(Error::Study(format!(
        "no recording with an age has anything in column '{column}'; there are: {}",
        names.join(", ")
    )))
}

/// One fold for each value, if they are no more than `of`; otherwise one for each that has
/// its share of the recordings, and the others joined by hash.
fn by_value(column: &str, of: u64, cases: &[Case]) -> Vec<Fold> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases {
        *counts.entry(case.recording.value(column)).or_default() += 1;
    }
    let many = |count: &usize| counts.len() as u64 <= of || *count * of as usize >= cases.len();
    let (large, small): (Vec<_>, Vec<_>) = counts.iter().partition(|(_, count)| many(count));
    let rest = (of - large.len() as u64).max(1);
    let mut parts: Vec<Vec<String>> =
        large.into_iter().map(|(value, _)| vec![(*value).to_owned()]).collect();
    for index in 0..rest {
        let mine = small.iter().filter(|(value, _)| Fold::part(value, rest) == index);
        parts.push(mine.map(|(value, _)| (**value).to_owned()).collect());
    }
    parts.into_iter().map(|values| Fold::Values { column: column.to_owned(), values }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::Recording;
    use voxage_contract::training::TrainSettings;

    fn request(folds: u64, hold_out: Option<&str>) -> Request {
        Request {
            manifest: String::new(),
            settings: TrainSettings::default(),
            folds,
            seeds: 1,
            by: Vec::new(),
            hold_out: hold_out.map(str::to_owned),
        }
    }

    fn cases(values: &[(&str, usize)]) -> Vec<Case> {
        let mut cases = Vec::new();
        for (value, count) in values {
            for _ in 0..*count {
                let id = cases.len().to_string();
                let metadata = BTreeMap::from([("source".to_owned(), (*value).to_owned())]);
                let recording = Recording { id, metadata, ..Recording::default() };
                cases.push(Case { recording, ..Case::default() });
            }
        }
        cases
    }

    fn values(folds: &[Fold]) -> Vec<Vec<String>> {
        let values = |fold: &Fold| match fold {
            Fold::Values { values, .. } => values.clone(),
            Fold::Speakers { .. } => Vec::new(),
        };
        folds.iter().map(values).collect()
    }

    #[test]
    fn few_values_are_a_fold_each_and_many_are_joined() {
        let mut few = cases(&[("a", 90), ("b", 9), ("", 1)]);
        let folds = cut(&request(5, Some("source")), &mut few).unwrap();
        assert_eq!(values(&folds), [[""], ["a"], ["b"]]);
        assert_eq!((few[0].fold, few[95].fold, few[99].fold), (Some(1), Some(2), Some(0)));

        let names: Vec<String> = (0..20).map(|i| format!("v{i}")).collect();
        let mut counts: Vec<_> = names.iter().map(|name| (name.as_str(), 2)).collect();
        counts.push(("most", 60));
        let mut many = cases(&counts);
        let folds = cut(&request(4, Some("source")), &mut many).unwrap();
        assert_eq!(folds.len(), 4);
        assert_eq!(values(&folds)[0], ["most"]);
        assert_eq!(values(&folds).concat().len(), 21);
        assert!(many.iter().all(|case| case.fold.is_some()));
    }

    #[test]
    fn what_cannot_be_cut_says_why() {
        let refused = |request, cases: &[(&str, usize)]| {
            cut(&request, &mut self::cases(cases)).unwrap_err().to_string()
        };
        let said = refused(request(5, Some("sauce")), &[("a", 3)]);
        assert!(said.contains("'sauce'") && said.contains("there are: source, gender"), "{said}");
        let said = refused(request(5, Some("source")), &[("a", 3)]);
        assert!(said.contains("the same value"), "{said}");
        let mut tied = cases(&[("a", 3), ("b", 3)]);
        for (case, speaker) in tied.iter_mut().zip(["x", "y", "z"].iter().cycle()) {
            case.recording.speaker = (*speaker).to_owned();
        }
        let said = cut(&request(5, Some("source")), &mut tied).unwrap_err().to_string();
        assert!(said.contains("tie the values of column 'source'"), "{said}");
        assert!(refused(request(5, None), &[("a", 1)]).contains("too few speakers"));
        assert!(refused(request(1, None), &[("a", 9)]).contains("2 to 1000 folds"));
    }
}
