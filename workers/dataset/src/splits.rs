//! Which split a speaker belongs to.
//!
//! Always holds: it follows from the speaker's name (else the recording's id) and the
//! rule alone, so a speaker stays where it is as data comes in. A split that was
//! submitted for one recording holds for all of its speaker's.

use std::collections::HashMap;

use voxage_contract::digest::Digest;
use voxage_contract::{Recording, Split};

use crate::{Error, Result};

/// How much of the speakers each split gets, by hash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitRule {
    /// Share of the validation split, 0 to 1.
    pub validation: f64,
    /// Share of the test split, 0 to 1.
    pub test: f64,
}

/// The splits of a data set.
#[derive(Debug, Clone)]
pub(crate) struct Splits {
    rule: SplitRule,
    /// By speaker, with the recording that said so.
    submitted: HashMap<String, (Split, String)>,
    has_validation: bool,
}

impl Splits {
    pub(crate) fn new(rule: SplitRule) -> Self {
        Self { rule, submitted: HashMap::new(), has_validation: false }
    }

    /// Learns the split that a recording was submitted for, if any.
    pub(crate) fn learn(&mut self, recording: &Recording) -> Result<()> {
        let split = recording.split();
        if split != Split::Unspecified {
            let speaker = recording.group().to_owned();
            let (first, id) =
                self.submitted.entry(speaker).or_insert_with(|| (split, recording.id.clone()));
            if *first != split {
                return Err(Error::DividedSpeaker {
                    speaker: recording.group().to_owned(),
                    first: id.clone(),
                    second: recording.id.clone(),
                });
            }
            self.has_validation |= split == Split::Validation;
        }
        Ok(())
    }

    /// The split of a recording.
    pub(crate) fn of(&self, recording: &Recording) -> Split {
        let place = place(recording.group());
        match self.submitted.get(recording.group()) {
            // A submission that names training and test only: the training stops by a
            // part of its own.
            Some((Split::Train, _)) if !self.has_validation && place < self.rule.validation => {
                Split::Validation
            }
            Some((split, _)) => *split,
            None if place < self.rule.test => Split::Test,
            None if place < self.rule.test + self.rule.validation => Split::Validation,
            None => Split::Train,
        }
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
    use proptest::prelude::*;

    const RULE: SplitRule = SplitRule { validation: 0.15, test: 0.15 };

    fn recording(id: &str, speaker: &str, split: Split) -> Recording {
        let mut recording =
            Recording { id: id.into(), speaker: speaker.into(), ..Recording::default() };
        recording.set_split(split);
        recording
    }

    #[test]
    fn the_shares_are_those_of_the_rule() {
        let splits = Splits::new(RULE);
        let of = |i: usize| splits.of(&recording(&i.to_string(), "", Split::Unspecified));
        let count = |split| (0..20_000).filter(|&i| of(i) == split).count();
        assert!((2800..3200).contains(&count(Split::Test)));
        assert!((2800..3200).contains(&count(Split::Validation)));
    }

    #[test]
    fn places_are_pinned() {
        // Moving one speaker between splits would leak it into a training that goes on.
        assert_eq!(format!("{:.6}", place("saa-english194")), "0.240471");
    }

    #[test]
    fn a_submission_without_validation_lends_some_of_its_training() {
        let mut splits = Splits::new(RULE);
        let submitted: Vec<_> =
            (0..1000).map(|i| recording("", &i.to_string(), Split::Train)).collect();
        submitted.iter().for_each(|recording| splits.learn(recording).unwrap());
        let lent = submitted.iter().filter(|r| splits.of(r) == Split::Validation).count();
        assert!((110..190).contains(&lent), "{lent}");
        splits.learn(&recording("", "x", Split::Validation)).unwrap();
        assert!(submitted.iter().all(|r| splits.of(r) == Split::Train));
    }

    #[test]
    fn a_divided_speaker_is_refused() {
        let mut splits = Splits::new(RULE);
        splits.learn(&recording("1", "s", Split::Train)).unwrap();
        assert!(splits.learn(&recording("2", "s", Split::Test)).is_err());
    }

    proptest! {
        #[test]
        fn no_speaker_is_in_two_splits(
            submitted in prop::collection::vec(0..4i32, 5),
            recordings in prop::collection::vec((0..5usize, prop::bool::ANY), 1..40),
        ) {
            let mut splits = Splits::new(RULE);
            let recordings: Vec<_> = recordings
                .iter()
                .map(|&(speaker, says)| {
                    let split = if says { submitted[speaker] } else { 0 };
                    recording("", &format!("s{speaker}"), Split::try_from(split).unwrap())
                })
                .collect();
            recordings.iter().for_each(|recording| splits.learn(recording).unwrap());
            let mut seen = HashMap::new();
            for recording in &recordings {
                let first = *seen.entry(&recording.speaker).or_insert(splits.of(recording));
                prop_assert_eq!(first, splits.of(recording));
            }
        }
    }
}
