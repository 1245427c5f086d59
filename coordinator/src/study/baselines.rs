//! What a model must beat: mean ages, of the very recordings that the fold's training may
//! learn from.

use std::collections::{HashMap, HashSet};

use super::Case;

/// What a rule predicts for each case that a fold tests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    pub name: String,
    pub ages: Vec<f64>,
}

/// Means of all, of the gender, and of the value of each column.
pub(crate) fn means(cases: &[Case], by: &[String]) -> Vec<Baseline> {
    let folds = cases.iter().filter_map(|case| case.fold).max().map_or(0, |last| last + 1);
    // Who is tested by a fold is not learned from in its training.
    let mut held_out: Vec<HashSet<&str>> = vec![HashSet::new(); folds];
    for case in cases {
        if let Some(fold) = case.fold {
            held_out[fold].insert(case.speaker());
        }
    }
    let mean = |name: String, key: &dyn Fn(&Case) -> String| {
        let learn = |held_out: &HashSet<&str>| {
            let learned = cases.iter().filter(|case| !held_out.contains(case.speaker()));
            let mut sums: HashMap<Option<String>, (f64, f64)> = HashMap::new();
            for case in learned {
                for key in [None, Some(key(case))] {
                    let (sum, n) = sums.entry(key).or_default();
                    (*sum, *n) = (*sum + case.age, *n + 1.0);
                }
            }
            sums
        };
        let learned: Vec<_> = held_out.iter().map(learn).collect();
        let predict = |case: &Case| {
            let sums = &learned[case.fold?];
            let (sum, n) = sums.get(&Some(key(case))).or_else(|| sums.get(&None))?;
            Some(sum / n)
        };
        // Where nothing is left to learn from, no training is either.
        let tested = cases.iter().filter(|case| case.fold.is_some());
        Baseline { name, ages: tested.map(|case| predict(case).unwrap_or(f64::NAN)).collect() }
    };
    let mut all = vec![
        mean("mean age".into(), &|_| String::new()),
        mean("mean age of the gender".into(), &|case| case.gender().into()),
    ];
    all.extend(by.iter().filter(|column| *column != "gender").map(|column| {
        mean(format!("mean age of the {column}"), &|case| case.recording.value(column).into())
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{Gender, Recording};

    fn case(speaker: &str, age: f64, gender: Gender, fold: Option<usize>) -> Case {
        let recording =
            Recording { speaker: speaker.into(), gender: gender.into(), ..Recording::default() };
        Case { recording, age, fold, ..Case::default() }
    }

    #[test]
    fn means_are_of_those_who_are_not_held_out() {
        use Gender::{Female, Male};
        let cases = [
            case("a", 20.0, Female, Some(0)),
            case("b", 40.0, Male, Some(1)),
            case("c", 60.0, Female, Some(1)),
            // Of a speaker whom fold 0 tests elsewhere: fold 0 does not learn from it.
            case("a", 90.0, Female, None),
        ];
        let means = means(&cases, &["gender".into()]);
        assert_eq!(means.len(), 2);
        assert_eq!(means[0].ages, [50.0, 55.0, 55.0]);
        // No male is left in fold 1: the mean of all.
        assert_eq!(means[1].ages, [60.0, 55.0, 55.0]);
    }
}
