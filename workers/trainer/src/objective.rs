//! What a network's outputs say of an age, and how far they are from the truth.
//!
//! Always holds: outputs are `[n, outputs]`, what is learned of ages is `[n]`.

use std::f64::consts::PI;

use tch::{Device, Kind, Reduction, Tensor};
use voxage_contract::training::{Loss, Target, TrainSettings};

/// Ages in whole years that outputs are over: 0 to 100.
const AGES: i64 = 101;
/// Weights of the mean's and of the variance's loss (Pan et al. 2018).
const MEAN_WEIGHT: f64 = 0.2;
const VARIANCE_WEIGHT: f64 = 0.05;
/// Deviation in years of the distribution that a training starts with.
const FIRST_DEVIATION: f64 = 15.0;

/// What is made of outputs.
#[derive(Debug)]
pub struct Objective {
    loss: Loss,
    huber_delta: f64,
    target: Target,
    /// Whole years, `[1, AGES]`.
    ages: Tensor,
    /// How much each whole year counts, `[years]`; none where all count alike.
    weights: Option<Tensor>,
}

impl Objective {
    /// That of some settings, where the network is.
    #[must_use]
    pub fn of(settings: &TrainSettings, device: Device) -> Self {
        let ages = Tensor::arange(AGES, (Kind::Float, device)).unsqueeze(0);
        let TrainSettings { loss, huber_delta, target, .. } = *settings;
        Self { loss, huber_delta, target, ages, weights: None }
    }

    /// Lets whole years, from 0 on, count by these weights; all alike if there are none.
    pub fn weigh(&mut self, years: &[f32]) {
        let weights = || Tensor::from_slice(years).to_device(self.ages.device());
        self.weights = (!years.is_empty()).then(weights);
    }

    /// How many outputs a network has.
    #[must_use]
    pub fn outputs(&self) -> i64 {
        if self.loss.is_over_years() { AGES } else { 1 }
    }

    /// Outputs that say what is `learned` of a mean age.
    pub fn start(&self, learned: f64) -> Tensor {
        match self.loss {
            Loss::Mse | Loss::Huber => Tensor::from(learned as f32).view(1),
            Loss::MeanVariance => {
                ((&self.ages - learned) / FIRST_DEVIATION).square().view(-1) * -0.5
            }
            // Of the logistic distribution with that deviation.
            Loss::Ordinal => {
                (&self.ages + 0.5 - learned).view(-1) * (-PI / (3_f64.sqrt() * FIRST_DEVIATION))
            }
        }
    }

    /// What outputs say is learned; of a distribution its mean.
    pub fn learned(&self, outputs: &Tensor) -> Tensor {
        match self.loss {
            Loss::Mse | Loss::Huber => outputs.squeeze_dim(1),
            Loss::MeanVariance => self.mean(&outputs.softmax(1, Kind::Float), &self.ages),
            Loss::Ordinal => outputs.sigmoid().sum_dim_intlist(1, false, Kind::Float),
        }
    }

    /// The mean loss of outputs; where years count differently, weighted.
    pub fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        let losses = match self.loss {
            Loss::Mse => self.learned(outputs).mse_loss(targets, Reduction::None),
            Loss::Huber => {
                self.learned(outputs).huber_loss(targets, Reduction::None, self.huber_delta)
            }
            Loss::MeanVariance => self.mean_variance(outputs, targets),
            Loss::Ordinal => self.ordinal(outputs, targets),
        };
        let Some(weights) = &self.weights else { return losses.mean(Kind::Float) };
        let ages = match self.target {
            Target::Age => targets.shallow_clone(),
            Target::SqrtAge => targets.square(),
            Target::LogAge => targets.exp(),
        };
        let years = ages.floor().clamp(0.0, (weights.size()[0] - 1) as f64).to_kind(Kind::Int64);
        (losses * weights.index_select(0, &years)).mean(Kind::Float)
    }

    /// Cross entropy of being older than each year; within a year, a part of it.
    fn ordinal(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        let older = (targets.unsqueeze(1) - &self.ages).clamp(0.0, 1.0);
        let none: Option<&Tensor> = None;
        let entropy = outputs.binary_cross_entropy_with_logits(&older, none, none, Reduction::None);
        entropy.sum_dim_intlist(1, false, Kind::Float)
    }

    /// Cross entropy, half the squared error of the distribution's mean, and its variance.
    fn mean_variance(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        let logarithms = outputs.log_softmax(1, Kind::Float);
        let shares = logarithms.exp();
        // An age between two years is a little of both.
        let truth = targets.clamp(0.0, (AGES - 1) as f64).unsqueeze(1);
        let truth: Tensor = 1.0 - (&self.ages - truth).abs();
        let truth = truth.clamp_min(0.0);
        let entropy = -(truth * logarithms).sum_dim_intlist(1, false, Kind::Float);
        let means = self.mean(&shares, &self.ages);
        let variance = self.mean(&shares, &(&self.ages - means.unsqueeze(1)).square());
        let errors = (means - targets).square() * (0.5 * MEAN_WEIGHT);
        entropy + errors + variance * VARIANCE_WEIGHT
    }

    fn mean(&self, shares: &Tensor, of: &Tensor) -> Tensor {
        (shares * of).sum_dim_intlist(1, false, Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::training::Target;

    fn objective(loss: Loss) -> Objective {
        let settings = TrainSettings {
            loss,
            target: Target::Age,
            huber_delta: 2.0,
            ..TrainSettings::default()
        };
        Objective::of(&settings, Device::Cpu)
    }

    fn loss(loss: Loss, outputs: &Tensor, age: f32) -> f64 {
        objective(loss).loss(outputs, &Tensor::from_slice(&[age])).double_value(&[])
    }

    #[test]
    fn an_outlier_costs_less_under_huber() {
        let output = |x: f32| Tensor::from_slice(&[x]).view([1, 1]);
        assert_eq!(loss(Loss::Mse, &output(30.0), 40.0), 100.0);
        // Within delta half the square, beyond it delta × (error − delta / 2).
        assert_eq!(loss(Loss::Huber, &output(30.0), 31.0), 0.5);
        assert_eq!(loss(Loss::Huber, &output(30.0), 40.0), 2.0 * (10.0 - 1.0));
    }

    #[test]
    fn a_distribution_starts_at_the_mean_and_says_its_own() {
        let objective = objective(Loss::MeanVariance);
        let mean = objective.learned(&objective.start(50.0).view([1, -1])).double_value(&[0]);
        assert!((mean - 50.0).abs() < 0.1, "{mean}");
        // Half at 20 and half at 30 years.
        let outputs = Tensor::full([1, AGES], -1e4, (Kind::Float, Device::Cpu));
        for age in [20, 30] {
            let _ = outputs.get(0).get(age).fill_(0.0);
        }
        assert_eq!(objective.learned(&outputs).double_value(&[0]), 25.0);
        // ln 2 of entropy, no error of the mean at 20, 5² of variance; and at 25 nobody.
        let found = loss(Loss::MeanVariance, &outputs, 20.0);
        let expected = 2_f64.ln() + 0.5 * MEAN_WEIGHT * 25.0 + VARIANCE_WEIGHT * 25.0;
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        assert!(loss(Loss::MeanVariance, &outputs, 25.0) > 1e3);
    }

    #[test]
    fn an_ordinal_age_is_the_years_that_somebody_is_older_than() {
        let objective = objective(Loss::Ordinal);
        let start = objective.start(40.0).view([1, -1]);
        let mean = objective.learned(&start).double_value(&[0]);
        assert!((mean - 40.0).abs() < 1.5, "{mean}");
        // Sure to be older than 30 years and not than 31.
        let outputs = (30.5 - &objective.ages) * 100.0;
        let age = objective.learned(&outputs).double_value(&[0]);
        assert!((age - 31.0).abs() < 1e-4, "{age}");
        assert!(loss(Loss::Ordinal, &outputs, 31.0) < 1e-4);
        assert!((loss(Loss::Ordinal, &outputs, 33.0) - 200.0).abs() < 0.1);
    }

    #[test]
    fn years_count_as_they_are_weighed() {
        for target in [Target::Age, Target::SqrtAge, Target::LogAge] {
            let settings = TrainSettings { target, ..TrainSettings::default() };
            let mut objective = Objective::of(&settings, Device::Cpu);
            let targets = Tensor::from_slice(&[20.5, 30.5].map(|age| target.of_age(age) as f32));
            let outputs = (&targets + 1.0).unsqueeze(1);
            assert!((objective.loss(&outputs, &targets).double_value(&[]) - 1.0).abs() < 1e-5);
            let mut weights = vec![0.0; 31];
            (weights[20], weights[30]) = (1.0, 5.0);
            objective.weigh(&weights);
            assert!((objective.loss(&outputs, &targets).double_value(&[]) - 3.0).abs() < 1e-5);
        }
    }
}
