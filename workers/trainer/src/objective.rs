//! What a network's outputs say of an age, and how far they are from the truth.
//!
//! Always holds: outputs are `[n, outputs]`, what is learned of ages is `[n]`.

use tch::{Device, Kind, Reduction, Tensor};
use voxage_contract::training::{Loss, TrainSettings};

/// Ages in whole years that a distribution is over: 0 to 100.
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
    /// The ages of a distribution, `[1, AGES]`.
    ages: Tensor,
}

impl Objective {
    /// That of some settings, where the network is.
    #[must_use]
    pub fn of(settings: &TrainSettings, device: Device) -> Self {
        let ages = Tensor::arange(AGES, (Kind::Float, device)).unsqueeze(0);
        Self { loss: settings.loss, huber_delta: settings.huber_delta, ages }
    }

    /// How many outputs a network has.
    #[must_use]
    pub fn outputs(&self) -> i64 {
        if self.loss == Loss::MeanVariance { AGES } else { 1 }
    }

    /// Outputs that say what is `learned` of a mean age.
    pub fn start(&self, learned: f64) -> Tensor {
        match self.loss {
            Loss::Mse | Loss::Huber => Tensor::from(learned as f32).view(1),
            Loss::MeanVariance => {
                ((&self.ages - learned) / FIRST_DEVIATION).square().view(-1) * -0.5
            }
        }
    }

    /// What outputs say is learned; of a distribution its mean.
    pub fn learned(&self, outputs: &Tensor) -> Tensor {
        match self.loss {
            Loss::Mse | Loss::Huber => outputs.squeeze_dim(1),
            Loss::MeanVariance => self.mean(&outputs.softmax(1, Kind::Float), &self.ages),
        }
    }

    /// The mean loss of outputs.
    pub fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        match self.loss {
            Loss::Mse => self.learned(outputs).mse_loss(targets, Reduction::Mean),
            Loss::Huber => {
                self.learned(outputs).huber_loss(targets, Reduction::Mean, self.huber_delta)
            }
            Loss::MeanVariance => self.mean_variance(outputs, targets),
        }
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
        (entropy + errors + variance * VARIANCE_WEIGHT).mean(Kind::Float)
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
}
