//! Several model versions as one: weighted means of what they say.
//!
//! Always holds: half of an interval's width is the mean of the members': it holds their
//! coverage if each of them holds it. That they take the same features and hold the same
//! speakers out is seen to by whoever asks for it, before there is a run.

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use voxage_contract::training::{BlendPart, TrainRequest, TrainSettings};
use voxage_transport::Store;

use crate::conformal::Conformal;
use crate::estimator::{Estimate, Estimates, Estimator, Taken, Taker};
use crate::models::{Card, Models};
use crate::scaler::Scaler;
use crate::{Error, Result};

/// What the card of a blend says of a member, whose weights are kept with the blend's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Key of the version that it is a copy of.
    pub version: String,
    /// Its share of what is said.
    pub weight: f64,
    /// All that its training depended on.
    pub settings: TrainSettings,
    /// From raw inputs to a network's; none if it is no network.
    #[serde(default)]
    pub scaler: Option<Scaler>,
    /// How wide its intervals are.
    #[serde(default)]
    pub conformal: Option<Conformal>,
}

/// Several estimators.
#[derive(Debug)]
pub struct Blend(Vec<Part>);

#[derive(Debug)]
struct Part {
    weight: f64,
    estimator: Estimator,
    conformal: Option<Conformal>,
}

impl Blend {
    /// The versions that a request names; gives also the card of the first, and what the
    /// blend's own card says of each.
    ///
    /// # Errors
    /// If there is no such version.
    pub fn of(
        request: &TrainRequest,
        store: &dyn Store,
        runtime: &Handle,
    ) -> Result<(Self, Card, Vec<Member>)> {
        let models = Models { store, runtime };
        let (mut parts, mut members, mut first) = (Vec::new(), Vec::new(), None);
        for BlendPart { version, weight } in &request.blend {
            let (card, estimator) = models.load(version)?;
            first.get_or_insert_with(|| card.clone());
            let Card { settings, scaler, conformal, .. } = card;
            parts.push(Part { weight: *weight, estimator, conformal: conformal.clone() });
            let version = version.clone();
            members.push(Member { version, weight: *weight, settings, scaler, conformal });
        }
        let first = first.ok_or_else(|| Error::Request("a blend needs members".into()))?;
        Ok((Self(parts), first, members))
    }

    /// The blend of members and of their files.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn load(members: &[Member], files: &[(String, bytes::Bytes)]) -> Result<Self> {
        let part = |(member, (key, bytes)): (&Member, &(String, bytes::Bytes))| {
            let Member { weight, settings, scaler, conformal, .. } = member.clone();
            let estimator = Estimator::load(&settings, scaler, key, bytes)?;
            Ok(Part { weight, estimator, conformal })
        };
        members.iter().zip(files).map(part).collect::<Result<_>>().map(Self)
    }

    /// Each member's weights as a file.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn files(&self) -> Result<Vec<Vec<u8>>> {
        let files = self.0.iter().map(|part| part.estimator.files());
        Ok(files.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The calibration that takes spreads for half widths; none if a member has none.
    #[must_use]
    pub fn conformal(&self, coverage: f64) -> Option<Conformal> {
        let all = self.0.iter().all(|part| part.conformal.is_some());
        all.then(|| Conformal::of_spreads(coverage))
    }
}

impl Estimates for Blend {
    fn taker(&self) -> Taker {
        Taker::Blend(self.0.iter().map(|part| part.estimator.taker()).collect())
    }

    fn estimates(&self, taken: &Taken) -> Result<Vec<Estimate>> {
        let Taken::Blend(taken) = taken else { return Err(Error::of_another_kind()) };
        let mut sums: Vec<Estimate> = Vec::new();
        for (Part { weight, estimator, conformal }, taken) in self.0.iter().zip(taken) {
            let estimates = estimator.estimates(taken)?;
            sums.resize(estimates.len(), Estimate { age: 0.0, spread: 0.0 });
            for (sum, estimate) in sums.iter_mut().zip(estimates) {
                let half = conformal.as_ref().map_or(1.0, |conformal| conformal.half(estimate));
                sum.age += weight * estimate.age;
                sum.spread += weight * half;
            }
        }
        Ok(sums)
    }
}
