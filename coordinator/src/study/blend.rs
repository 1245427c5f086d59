//! Several studies of the same recordings as one predictor: what a blend of their models
//! would be worth, and which weights are good.
//!
//! Always holds: the weights that predict a fold are found on the others ("stacking", Wolpert
//! 1992), so nothing is measured on what it was fitted to. Weights are shares: none is
//! negative, together they are 1 (Breiman 1996).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::bootstrap::bounded;
use super::findings::errors;
use super::{Bounded, Case, Guess, Study};
use crate::{Error, Result};

/// Steps of the descent: few unknowns, and residuals that are not too much alike.
const STEPS: usize = 3000;

/// What a blend came to, in years.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blended {
    /// Recordings that were predicted.
    pub recordings: u64,
    /// Their speakers.
    pub speakers: u64,
    /// The RMSE of the blend, each fold's weights found on the others.
    pub rmse: Option<Bounded>,
    /// The RMSE under equal weights.
    pub equal: Option<Bounded>,
    /// What it is made of.
    pub members: Vec<Share>,
}

/// A member of a blend: the mean over a study's seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The study.
    pub study: String,
    /// Its weight, found on all folds.
    pub weight: f64,
    /// Its own RMSE, the mean over its seeds.
    pub rmse: Option<Bounded>,
    /// The blend's less that: below 0, the blend is better.
    pub blend_less: Option<Bounded>,
}

/// Blends studies, each with what its seeds said of its cases.
///
/// # Errors
/// If there are none, or they are not of the same recordings and folds.
pub fn blend(studies: &[(Study, Vec<Vec<Guess>>)]) -> Result<Blended> {
    let Some((first, _)) = studies.first() else {
        return Err(Error::Study("a blend is of one study or more".into()));
    };
    let tested = |study: &Study| -> Vec<(String, f64, usize)> {
        let row = |case: &Case| Some((case.recording.id.clone(), case.age, case.fold?));
        study.cases.iter().filter_map(row).collect()
    };
    let rows = tested(first);
    let other = studies.iter().find(|(study, _)| tested(study) != rows);
    if let Some((other, _)) = other {
        return Err(Error::Study(format!(
            "studies {} and {} are not of the same recordings and folds: repeat one as the other \
             was made",
            first.id, other.id
        )));
    }
    let residuals: Vec<Vec<f64>> = studies
        .iter()
        .map(|(_, seeds)| {
            let mean = |i: usize| seeds.iter().map(|said| said[i].age).sum::<f64>();
            (0..rows.len()).map(|i| rows[i].1 - mean(i) / seeds.len() as f64).collect()
        })
        .collect();
    let weights = shares(&residuals, |_| true);
    let of_fold: Vec<_> =
        (0..first.folds.len()).map(|fold| shares(&residuals, |i| rows[i].2 != fold)).collect();
    let equal = vec![1.0 / studies.len() as f64; studies.len()];
    let under = |weights: &[f64], i: usize| -> f64 {
        weights.iter().zip(&residuals).map(|(weight, own)| weight * own[i]).sum()
    };
    let speakers: Vec<&str> =
        first.cases.iter().filter(|case| case.fold.is_some()).map(Case::speaker).collect();
    let found = bounded(&speakers, |places| {
        let rmse = |residual: &dyn Fn(usize) -> f64| errors(places.iter().map(|&i| residual(i)))[0];
        let blended = rmse(&|i| under(&of_fold[rows[i].2], i));
        let mut all = vec![blended, rmse(&|i| under(&equal, i))];
        for (_, seeds) in studies {
            let alone: f64 = seeds.iter().map(|said| rmse(&|i| rows[i].1 - said[i].age)).sum();
            let alone = alone / seeds.len() as f64;
            all.extend([alone, blended - alone]);
        }
        all.into_iter().map(Some).collect()
    });
    let unique: BTreeSet<_> = speakers.iter().collect();
    let share = |((study, _), (weight, found)): (&(Study, _), (f64, &[Option<Bounded>]))| Share {
        study: study.id.clone(),
        weight,
        rmse: found[0],
        blend_less: found[1],
    };
    let parts = weights.into_iter().zip(found[2..].chunks(2));
    Ok(Blended {
        recordings: rows.len() as u64,
        speakers: unique.len() as u64,
        rmse: found[0],
        equal: found[1],
        members: studies.iter().zip(parts).map(share).collect(),
    })
}

/// The shares under which the mean of some residuals' columns has the least square over the
/// rows that are `used`: projected gradient descent from equal shares.
fn shares(residuals: &[Vec<f64>], used: impl Fn(usize) -> bool) -> Vec<f64> {
    let k = residuals.len();
    let rows: Vec<usize> = (0..residuals[0].len()).filter(|&i| used(i)).collect();
    let product = |a: &[f64], b: &[f64]| rows.iter().map(|&i| a[i] * b[i]).sum::<f64>();
    let gram: Vec<Vec<f64>> =
        residuals.iter().map(|a| residuals.iter().map(|b| product(a, b)).collect()).collect();
    // At least the largest eigenvalue.
    let trace: f64 = (0..k).map(|i| gram[i][i]).sum();
    let mut weights = vec![1.0 / k as f64; k];
    for _ in 0..STEPS {
        let slope = |row: &Vec<f64>| row.iter().zip(&weights).map(|(g, w)| g * w).sum::<f64>();
        let stepped: Vec<f64> =
            weights.iter().zip(&gram).map(|(w, row)| w - slope(row) / trace.max(1e-12)).collect();
        weights = onto_shares(&stepped);
    }
    weights
}

/// The nearest point whose coordinates are shares (Duchi et al. 2008).
fn onto_shares(point: &[f64]) -> Vec<f64> {
    let mut sorted = point.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut shift) = (0.0, 0.0);
    for (i, value) in sorted.iter().enumerate() {
        sum += value;
        let candidate = (sum - 1.0) / (i + 1) as f64;
        if *value > candidate {
            shift = candidate;
        }
    }
    point.iter().map(|value| (value - shift).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::Rng;

    #[test]
    fn shares_are_those_of_the_least_square() {
        // Independent residuals of deviations 1, 2 and 4: weights in inverse proportion to the
        // variances; and a copy of the worst with a bias gets nothing.
        let mut rng = Rng::new(&[1]);
        let mut normal =
            || (0..12).map(|_| rng.below(1 << 20) as f64 / f64::from(1 << 20)).sum::<f64>() - 6.0;
        let mut column =
            |deviation: f64| (0..20_000).map(|_| deviation * normal()).collect::<Vec<_>>();
        let mut residuals = vec![column(1.0), column(2.0), column(4.0)];
        residuals.push(residuals[2].iter().map(|r| r + 5.0).collect());
        let found = shares(&residuals, |_| true);
        for (found, expected) in found.iter().zip([16.0 / 21.0, 4.0 / 21.0, 1.0 / 21.0, 0.0]) {
            assert!((found - expected).abs() < 0.02, "{found} {expected}");
        }
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // Rows that are not used do not matter.
        residuals[0][10_000..].fill(1e6);
        let half = shares(&residuals, |i| i < 10_000);
        assert!((half[0] - 16.0 / 21.0).abs() < 0.03, "{half:?}");
    }

    #[test]
    fn the_nearest_shares() {
        assert_eq!(onto_shares(&[0.5, 0.5]), [0.5, 0.5]);
        assert_eq!(onto_shares(&[2.0, 0.0]), [1.0, 0.0]);
        assert_eq!(onto_shares(&[1.0, 1.0, -3.0]), [0.5, 0.5, 0.0]);
    }
}
