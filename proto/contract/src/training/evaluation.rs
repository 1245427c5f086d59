//! How well a model does, in years.

use serde::{Deserialize, Serialize};

/// How a model does on speakers that it has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// On the test split.
    pub test: SplitEvaluation,
    /// A ridge on the same split, which learned from all other recordings; none beside a ridge, in
    /// a part of a cross-validation, and on another data set than the model's own.
    #[serde(default)]
    pub ridge: Option<Ridge>,
}

/// How a ridge does on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ridge {
    /// How far off it is.
    pub scores: Scores,
    /// Key of its predictions.
    pub predictions: String,
}

/// How a model does on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitEvaluation {
    /// All of it.
    #[serde(flatten)]
    pub all: Scores,
    /// The mean age of those who are learned from as the prediction for everyone.
    pub baseline: Baseline,
    /// By true age.
    pub by_age_band: Vec<Cell>,
    /// By gender.
    pub by_gender: Vec<Cell>,
}

/// Errors in years over `n` recordings; a score that `n` does not allow is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Recordings.
    pub n: u64,
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Median of the absolute errors.
    #[serde(default)]
    pub median_ae: Option<f64>,
    /// Share of the variance that is explained.
    pub r2: Option<f64>,
    /// Pearson's correlation.
    pub pearson: Option<f64>,
    /// Lin's coefficient of concordance: 1 if all predictions are true.
    #[serde(default)]
    pub ccc: Option<f64>,
}

/// Errors in years of a prediction that looks at nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The age that it predicts.
    pub age: f64,
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
}

/// Scores of a part of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Which part.
    pub name: String,
    /// How the model does on it.
    #[serde(flatten)]
    pub scores: Scores,
    /// How the baseline does on it.
    pub baseline: Baseline,
}
