//! Which split a recording belongs to.
//!
//! Always holds: it follows from the speaker's name (else the recording's id) and the
//! rule alone, so a speaker stays where it is as data comes in. A split that was
//! submitted for one recording holds for all of its speaker's. If values of a column are
//! held out instead of speakers, who has some of them is in the test alone.

use std::collections::{HashMap, HashSet};

use voxage_contract::Split;
use voxage_contract::digest::Digest;
use voxage_contract::training::{Fold, TrainSettings};

use crate::{Error, Result};

/// How much of the speakers each split gets, by hash.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitRule {
    /// Share of the validation split, 0 to 1.
    pub validation: f64,
    /// Share of the test split, 0 to 1.
    pub test: f64,
    /// Which share of those that are not tested is the validation split: 0 for the first, each
    /// turn moves it on by itself.
    pub turn: u64,
    /// If there is a fold, it is the test split, whatever was submitted, and the validation
    /// split is a share of the others.
    pub fold: Option<Fold>,
}

impl SplitRule {
    /// That of a training.
    #[must_use]
    pub fn of(settings: &TrainSettings, fold: Option<Fold>) -> Self {
        Self {
            validation: settings.validation_share,
            test: settings.test_share,
            turn: settings.validation_turn,
            fold,
        }
    }

    /// Whether a place, from 0 to 1, is in the validation split, if the test split is what lies
    /// before `tested`.
    fn validates(&self, place: f64, tested: f64) -> bool {
        let turned = place - tested - self.turn as f64 * self.validation;
        turned.rem_euclid(1.0 - tested) < self.validation
    }
}

/// Where a group stands, whatever else turns out to be submitted for others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing {
    /// In the training.
    Train,
    /// In the validation.
    Validation,
    /// In the test.
    Test,
    /// Submitted for training, but lent to the validation if nobody is submitted for it.
    Lent,
    /// In none: of a speaker who is held out for what else was said, or known before.
    LeftOut,
}

impl Standing {
    pub(crate) const ALL: [Self; 5] =
        [Self::Train, Self::Validation, Self::Test, Self::Lent, Self::LeftOut];
}

/// The splits of a data set.
#[derive(Debug, Clone)]
pub(crate) struct Splits {
    pub(crate) rule: SplitRule,
    /// By speaker, with the recording that said so.
    submitted: HashMap<String, (Split, String)>,
    /// Speakers with a value that is held out; without a fold, whom a model of before knows.
    held_out: HashSet<String>,
    has_validation: bool,
}

impl Splits {
    pub(crate) fn new(rule: SplitRule) -> Self {
        Self { rule, submitted: HashMap::new(), held_out: HashSet::new(), has_validation: false }
    }

    /// Learns what a recording says of its group: the split that it was submitted for, if
    /// any, or that it has a value that is held out.
    pub(crate) fn learn(&mut self, id: &str, group: &str, value: &str, split: Split) -> Result<()> {
        if let Some(fold) = &self.rule.fold {
            if fold.column().is_some() && fold.has(group, value) {
                self.held_out.insert(group.to_owned());
            }
            return Ok(());
        }
        if split == Split::Unspecified {
            return Ok(());
        }
        self.has_validation |= split == Split::Validation;
        match self.submitted.get(group) {
            Some((first, other)) if *first != split => Err(Error::DividedSpeaker {
                speaker: group.to_owned(),
                first: other.clone(),
                second: id.to_owned(),
            }),
            Some(_) => Ok(()),
            None => {
                self.submitted.insert(group.to_owned(), (split, id.to_owned()));
                Ok(())
            }
        }
    }

    /// Takes these out of every split.
    pub(crate) fn leave_out(&mut self, groups: HashSet<String>) {
        self.held_out.extend(groups);
    }

    /// Whether any recording said something that holds for others.
    pub(crate) fn any_learned(&self) -> bool {
        !self.submitted.is_empty() || !self.held_out.is_empty()
    }

    /// Where a recording of a group stands, by its value in the fold's column.
    pub(crate) fn standing(&self, group: &str, value: &str) -> Standing {
        let place = place(group);
        if let Some(fold) = &self.rule.fold {
            return match () {
                () if fold.has(group, value) => Standing::Test,
                () if self.held_out.contains(group) => Standing::LeftOut,
                () if self.rule.validates(place, 0.0) => Standing::Validation,
                () => Standing::Train,
            };
        }
        match self.submitted.get(group) {
            _ if self.held_out.contains(group) => Standing::LeftOut,
            Some((Split::Train, _)) if self.rule.validates(place, 0.0) => Standing::Lent,
            Some((Split::Validation, _)) => Standing::Validation,
            Some((Split::Test, _)) => Standing::Test,
            Some(_) => Standing::Train,
            None if place < self.rule.test => Standing::Test,
            None if self.rule.validates(place, self.rule.test) => Standing::Validation,
            None => Standing::Train,
        }
    }

    /// The split of what has a standing.
    pub(crate) fn split(&self, standing: Standing) -> Split {
        match standing {
            // A submission that names training and test only: the training stops by a part
            // of its own.
            Standing::Lent if !self.has_validation => Split::Validation,
            Standing::Train | Standing::Lent => Split::Train,
            Standing::Validation => Split::Validation,
            Standing::Test => Split::Test,
            Standing::LeftOut => Split::Unspecified,
        }
    }

    /// The split of a recording.
    pub(crate) fn of(&self, group: &str, value: &str) -> Split {
        self.split(self.standing(group, value))
    }
}

/// Where the hash puts a group, in 0..1.
fn place(group: &str) -> f64 {
    let hex = Digest::new("split").part(group.as_bytes()).hex();
    let high = u64::from_str_radix(&hex[..13], 16).unwrap_or(0);
    high as f64 / (1u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: SplitRule = SplitRule { validation: 0.15, test: 0.15, turn: 0, fold: None };

    #[test]
    fn the_shares_are_those_of_the_rule() {
        let splits = Splits::new(RULE);
        let of = |i: usize| splits.of(&i.to_string(), "");
        let count = |split| (0..20_000).filter(|&i| of(i) == split).count();
        assert!((2800..3200).contains(&count(Split::Test)));
        assert!((2800..3200).contains(&count(Split::Validation)));
    }

    #[test]
    fn each_turn_stops_by_other_speakers_and_tests_the_same() {
        let of = |turn, i: usize| Splits::new(SplitRule { turn, ..RULE }).of(&i.to_string(), "");
        for i in 0..2000 {
            let splits = [0, 1, 2, 3, 4, 5].map(|turn| of(turn, i));
            let (first, validations) =
                (splits[0], splits.iter().filter(|split| **split == Split::Validation).count());
            assert!(splits.iter().all(|split| (*split == Split::Test) == (first == Split::Test)));
            // Six shares of 0.15 go once around the 0.85, and a little further.
            let least = usize::from(first != Split::Test);
            assert!(validations >= least && validations <= least + 1, "{i}: {splits:?}");
        }
    }

    #[test]
    fn places_are_pinned() {
        // Moving one speaker between splits would leak it into a training that goes on.
        assert_eq!(format!("{:.6}", place("saa-english194")), "0.240471");
    }

    #[test]
    fn a_submission_without_validation_lends_some_of_its_training() {
        let mut splits = Splits::new(RULE);
        let submitted: Vec<_> = (0..1000).map(|i| i.to_string()).collect();
        submitted.iter().for_each(|group| splits.learn("", group, "", Split::Train).unwrap());
        let of = |splits: &Splits, split| {
            submitted.iter().filter(|group| splits.of(group, "") == split).count()
        };
        let lent = of(&splits, Split::Validation);
        assert!((110..190).contains(&lent), "{lent}");
        splits.learn("", "x", "", Split::Validation).unwrap();
        assert_eq!(of(&splits, Split::Train), 1000);
    }

    #[test]
    fn a_divided_speaker_is_refused() {
        let mut splits = Splits::new(RULE);
        splits.learn("1", "s", "", Split::Train).unwrap();
        let error = splits.learn("2", "s", "", Split::Test).unwrap_err().to_string();
        assert!(error.contains("'s'") && error.contains("'1' and '2'"), "{error}");
    }

    #[test]
    fn folds_part_the_speakers_whatever_was_submitted() {
        let speakers: Vec<String> = (0..1000).map(|i| format!("s{i}")).collect();
        let mut tested = vec![0; speakers.len()];
        for index in 0..5 {
            let fold = Some(Fold::Speakers { index, of: 5 });
            let mut splits = Splits::new(SplitRule { fold, ..RULE });
            splits.learn("1", "s0", "", Split::Train).unwrap();
            let (mut tests, mut validations) = (0, 0);
            for (speaker, tested) in speakers.iter().zip(&mut tested) {
                match splits.of(speaker, "") {
                    Split::Test => (*tested, tests) = (*tested + 1, tests + 1),
                    Split::Validation => validations += 1,
                    _ => {}
                }
            }
            assert!((150..250).contains(&tests) && (80..160).contains(&validations));
        }
        assert!(tested.iter().all(|&n| n == 1));
    }

    #[test]
    fn who_has_a_value_that_is_held_out_is_in_no_training() {
        let fold = Fold::Values { column: "source".into(), values: vec!["a".into()] };
        let mut splits = Splits::new(SplitRule { fold: Some(fold), ..RULE });
        // Half of the speakers have only b, the others something of both.
        for i in 0..400 {
            splits.learn("", &i.to_string(), if i < 200 { "a" } else { "b" }, Split::Test).unwrap();
        }
        let count = |range: std::ops::Range<i32>, value, split| {
            range.filter(|i| splits.of(&i.to_string(), value) == split).count()
        };
        assert_eq!(count(0..200, "a", Split::Test), 200);
        assert_eq!(count(0..200, "b", Split::Unspecified), 200);
        assert!((10..60).contains(&count(200..400, "b", Split::Validation)));
        assert_eq!(count(200..400, "b", Split::Test), 0);
    }
}
