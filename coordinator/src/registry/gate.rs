//! Whether a version may become the champion: compared with the one that is, on the same
//! speakers, whom neither has learned from.
//!
//! Always holds: the decision says every number that it rests on, also when it says no.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use voxage_contract::scores::{AGE_BANDS, age_band};
use voxage_contract::{Name, keys};
use voxage_transport::{Store, StoreExt as _};

use super::{Card, card, champion, history, was_taken_back};
use crate::study::{Bounded, bounded};
use crate::{Error, Result};

/// What is asked of a version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// The upper end of the difference of the RMSEs, candidate less champion, must lie below
    /// this, in years: 0 asks for better beyond chance.
    pub margin_years: f64,
    /// In no age band and no gender may the RMSE be greater by more than this, in years.
    pub tolerance_years: f64,
    /// Recordings that such a part must have to be looked at.
    pub least_recordings: u64,
    /// Intervals may hold this much less than they are made to, a share, beside chance.
    pub coverage_slack: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { margin_years: 0.0, tolerance_years: 1.0, least_recordings: 20, coverage_slack: 0.05 }
    }
}

/// Speakers who can show something beyond chance: that four of four are predicted better happens
/// by chance once in sixteen, five of five once in thirty-two.
const LEAST_SPEAKERS: usize = 5;

/// Something that the gate looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it must be.
    pub passed: bool,
    /// The numbers, in words.
    pub words: String,
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The version that was looked at.
    pub candidate: u64,
    /// The version that it was compared with; none if there was no champion.
    pub champion: Option<u64>,
    /// Key of the sealed manifest whose test speakers they were compared on.
    pub manifest: String,
    /// Whether it may become the champion.
    pub promote: bool,
    /// The RMSE of the candidate less that of the champion, or of the mean age.
    pub difference: Option<Bounded>,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

impl Decision {
    /// In words: what failed, or what makes it better.
    #[must_use]
    pub fn words(&self) -> String {
        let wanted = |check: &&Check| check.passed == self.promote;
        let words: Vec<_> = self.checks.iter().filter(wanted).map(|check| &*check.words).collect();
        words.join("; ")
    }
}

/// A prediction of the test split.
#[derive(Debug, Clone, Deserialize)]
struct Said {
    id: String,
    age: f64,
    predicted: f64,
    low: Option<f64>,
    high: Option<f64>,
    gender: String,
    speaker: String,
}

/// Compares a version with the champion, by what both said of the test speakers of the
/// version's data set.
///
/// # Errors
/// If the champion has not been measured on that data set, or the store fails.
pub async fn decide(
    store: &dyn Store,
    gate: &Gate,
    model: &Name,
    candidate: u64,
) -> Result<Decision> {
    let own = card(store, model, candidate).await?;
    let champion = champion(store, model).await?.map(|promotion| promotion.version);
    let said = predictions(store, &own, &own.manifest).await?;
    let said =
        said.ok_or_else(|| Error::NoVersion(format!("the predictions of {model}@{candidate}")))?;
    let rival = match champion {
        None => None,
        Some(version) => {
            let other = card(store, model, version).await?;
            let before = predictions(store, &other, &own.manifest).await?;
            if before.is_none() && own.spec_id == other.spec_id {
                return Err(Error::Registry(format!(
                    "champion {model}@{version} was not measured on {}, on which \
                     {model}@{candidate} was trained: `voxage evaluate --model {model}@{version} \
                     --dataset NAME` does that if it is the newest version of the data set; \
                     `voxage models rollback {model}` goes back to the champion of before, and \
                     --force does not ask",
                    own.manifest
                )));
            }
            Some((other, before))
        }
    };
    let (gate, manifest) = (*gate, own.manifest.clone());
    // Of many recordings, resamples take seconds.
    let judge = spawn_blocking(move || {
        let mut checks = Vec::new();
        // Whatever the champion does: where labels are wrong, who knows something is far off,
        // and who knows nothing is nearer.
        let mut difference = alone(&own, &said, &mut checks);
        if let Some((other, before)) = rival {
            checks.push(features(&own, &other));
            difference = before.and_then(|before| against(&gate, &said, &before, &mut checks));
        }
        checks.extend(coverage(&gate, own.settings.coverage, &said));
        (difference, checks)
    });
    let (difference, mut checks) = judge.await?;
    if was_taken_back(&history(store, model).await?, candidate) {
        checks.push(Check {
            name: "taken back".into(),
            passed: false,
            words: format!(
                "{model}@{candidate} was the champion and was rolled back: `voxage models promote \
                 {model}@{candidate} --force` makes it the champion again"
            ),
        });
    }
    let promote = checks.iter().all(|check| check.passed);
    Ok(Decision { candidate, champion, manifest, promote, difference, checks })
}

/// What a version said of the test speakers of a sealed manifest.
async fn predictions(store: &dyn Store, card: &Card, manifest: &str) -> Result<Option<Vec<Said>>> {
    let key = keys::predictions(&card.run, manifest);
    let Some(bytes) = store.get_opt(&key).await? else { return Ok(None) };
    let lines = csv::Reader::from_reader(&*bytes).into_deserialize();
    let lines = lines.map(|line| line.map_err(|error| Error::damaged(&key, error)));
    lines.collect::<Result<_>>().map(Some)
}

/// It must know more than the mean age, beyond chance.
fn alone(own: &Card, said: &[Said], checks: &mut Vec<Check>) -> Option<Bounded> {
    let mean = own.evaluation.test.baseline.age;
    let pairs: Vec<_> = said.iter().map(|one| (one, mean)).collect();
    let difference = difference(&pairs);
    checks.push(better(0.0, "the mean age", difference, &pairs));
    difference
}

fn against(
    gate: &Gate,
    said: &[Said],
    before: &[Said],
    checks: &mut Vec<Check>,
) -> Option<Bounded> {
    let before: HashMap<&str, f64> =
        before.iter().map(|one| (one.id.as_str(), one.predicted)).collect();
    let pairs: Vec<(&Said, f64)> =
        said.iter().filter_map(|one| Some((one, *before.get(one.id.as_str())?))).collect();
    let difference = difference(&pairs);
    checks.push(better(gate.margin_years, "the champion", difference, &pairs));
    let mut parts: BTreeMap<String, Vec<(&Said, f64)>> = BTreeMap::new();
    for pair in &pairs {
        let gender = if pair.0.gender.is_empty() { "unknown gender" } else { &pair.0.gender };
        for part in [AGE_BANDS[age_band(pair.0.age)], gender] {
            parts.entry(part.to_owned()).or_default().push(*pair);
        }
    }
    let mut small = Vec::new();
    for (name, pairs) in parts {
        if (pairs.len() as u64) < gate.least_recordings {
            small.push(format!("{name} ({})", pairs.len()));
            continue;
        }
        let [own, other] = rmses(&pairs);
        checks.push(Check {
            passed: own - other <= gate.tolerance_years,
            words: format!(
                "{name}: RMSE {own:.2} against {other:.2} over {} recordings, at most {} more \
                 is allowed",
                pairs.len(),
                gate.tolerance_years
            ),
            name,
        });
    }
    if !small.is_empty() {
        checks.push(Check {
            name: "small parts".into(),
            passed: true,
            words: format!(
                "not looked at, because they have fewer than {} recordings: {}",
                gate.least_recordings,
                small.join(", ")
            ),
        });
    }
    difference
}

fn better(
    margin_years: f64,
    than: &str,
    difference: Option<Bounded>,
    pairs: &[(&Said, f64)],
) -> Check {
    let [own, other] = rmses(pairs);
    let speakers = pairs.iter().map(|(one, _)| speaker(one)).collect::<HashSet<_>>().len();
    let bounds = difference.map_or("unknown".to_owned(), |d| {
        format!("{:+.2}, 95 % within {:+.2} and {:+.2}", d.value, d.low, d.high)
    });
    let words = if pairs.is_empty() {
        format!(
            "there is nothing to compare with {than} on: no speaker is in the test split, or none \
             from whom it has not learned; `voxage models promote --force` does not ask"
        )
    } else if speakers < LEAST_SPEAKERS {
        format!(
            "RMSE {own:.2} against {other:.2} of {than} over {} recordings of {speakers} \
             speakers, too few to show anything beyond chance: it takes {LEAST_SPEAKERS}; \
             `voxage models promote --force` does not ask",
            pairs.len(),
        )
    } else {
        format!(
            "RMSE {own:.2} against {other:.2} of {than} over {} recordings: {bounds}, must be \
             below {margin_years:+.2}",
            pairs.len(),
        )
    };
    Check {
        name: format!("better than {than}"),
        passed: speakers >= LEAST_SPEAKERS
            && difference.is_some_and(|difference| difference.high < margin_years),
        words,
    }
}

fn features(own: &Card, other: &Card) -> Check {
    let passed = own.spec_id == other.spec_id;
    let words = if passed {
        "the features are the champion's".into()
    } else {
        "the features are others than the champion's, which cannot be measured on them".into()
    };
    Check { name: "features".into(), passed, words }
}

/// Whether intervals hold what they are made to; nothing if there are none.
fn coverage(gate: &Gate, made: f64, said: &[Said]) -> Option<Check> {
    let holds: Vec<bool> =
        said.iter().filter_map(|one| Some((one.low?..=one.high?).contains(&one.age))).collect();
    if holds.is_empty() {
        return None;
    }
    let n = holds.len() as f64;
    let share = holds.iter().filter(|holds| **holds).count() as f64 / n;
    let least = made - gate.coverage_slack;
    Some(Check {
        name: "coverage".into(),
        passed: upper(share, n) >= least,
        words: format!(
            "intervals hold {:.0} % of {} ages (at most {:.0} % by chance), at least {:.0} % are \
             asked for",
            100.0 * share,
            holds.len(),
            100.0 * upper(share, n),
            100.0 * least
        ),
    })
}

/// The upper end of the interval of 95 % of a share (Wilson 1927).
fn upper(share: f64, n: f64) -> f64 {
    let z2 = 1.96 * 1.96 / n;
    (share + z2 / 2.0 + (z2 * (share * (1.0 - share) + z2 / 4.0)).sqrt()) / (1.0 + z2)
}

/// Who speaks; a recording that names nobody has a speaker of its own.
fn speaker(one: &Said) -> &str {
    if one.speaker.is_empty() { &one.id } else { &one.speaker }
}

/// The RMSE of what was said less that of the other, over speakers.
fn difference(pairs: &[(&Said, f64)]) -> Option<Bounded> {
    let speakers: Vec<_> = pairs.iter().map(|(one, _)| speaker(one)).collect();
    let statistic = |places: &[usize]| {
        let drawn: Vec<_> = places.iter().map(|&i| pairs[i]).collect();
        let [own, other] = rmses(&drawn);
        vec![Some(own - other).filter(|difference| difference.is_finite())]
    };
    bounded(&speakers, statistic).pop().flatten()
}

fn rmses(pairs: &[(&Said, f64)]) -> [f64; 2] {
    let rmse = |error: &dyn Fn(&(&Said, f64)) -> f64| {
        (pairs.iter().map(|pair| error(pair).powi(2)).sum::<f64>() / pairs.len() as f64).sqrt()
    };
    [rmse(&|(one, _)| one.predicted - one.age), rmse(&|(one, other)| other - one.age)]
}

#[cfg(test)]
mod tests;
