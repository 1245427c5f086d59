//! Everything that a training depends on besides its data.

use serde::{Deserialize, Serialize};

/// How a 128 × 128 image is made of a spectrogram of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// The first 128 frames; shorter ones are padded with silence.
    First,
    /// All frames, averaged or interpolated to 128.
    Resize,
    /// 128 frames from a random place in training, from the middle otherwise.
    RandomCrop,
}

/// How inputs are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// To 0..1 by the least and greatest training value, as the original report did.
    MinMax,
    /// By median and interquartile range, clipped to ±3: an outlier costs nothing.
    Robust,
}

/// How the learning rate goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// Down to zero along a half cosine over all epochs.
    Cosine,
}

/// What is learned of an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The age itself.
    Age,
    /// Its square root: errors count for a little more among the young.
    SqrtAge,
    /// Its logarithm, as in the original report: for errors in per cent.
    LogAge,
}

impl Target {
    /// What is learned of an age in years.
    #[must_use]
    pub fn of_age(self, years: f64) -> f64 {
        match self {
            Self::Age => years,
            Self::SqrtAge => years.max(0.0).sqrt(),
            Self::LogAge => years.max(1e-3).ln(),
        }
    }

    /// The mean and the standard deviation of an age in years, of which this has a normal
    /// distribution with a mean and a deviation.
    #[must_use]
    pub fn to_age(self, mean: f64, deviation: f64) -> (f64, f64) {
        let variance = deviation * deviation;
        match self {
            Self::Age => (mean, deviation),
            Self::SqrtAge => (
                mean * mean + variance,
                (4.0 * mean * mean * variance + 2.0 * variance * variance).sqrt(),
            ),
            Self::LogAge => {
                let age = (mean + variance / 2.0).exp();
                (age, age * variance.exp_m1().sqrt())
            }
        }
    }
}

/// Where a training computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// On a GPU if there is one, else on the processor.
    Auto,
    /// On the processor.
    Cpu,
    /// On a GPU, which must be there.
    Cuda,
}

/// Networks by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// A Gaussian process over statistics of the spectrogram, the table and the embedding.
    #[serde(rename = "gp")]
    Gp,
    /// The same with nothing but straight lines, over the table and the embedding alone.
    #[serde(rename = "ridge")]
    Ridge,
    /// The original report's: convolutions over the image, an MLP over the table, joined.
    #[serde(rename = "seed-cnn-mlp")]
    SeedCnnMlp,
}

impl Architecture {
    /// Whether it is a Gaussian process, not a network.
    #[must_use]
    pub fn is_process(self) -> bool {
        matches!(self, Self::Gp | Self::Ridge)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gp => "gp",
            Self::Ridge => "ridge",
            Self::SeedCnnMlp => "seed-cnn-mlp",
        }
    }
}

/// Everything that a training depends on besides its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// The network.
    pub architecture: Architecture,
    /// Channels of its convolutions; each halves the image.
    pub channels: Vec<i64>,
    /// Units that the flattened image is brought down to.
    pub image_units: i64,
    /// Units of the layers over the table.
    pub table_units: Vec<i64>,
    /// Units of the layer before the age.
    pub head_units: i64,
    /// Share of units that are left out at random in training, 0 to 1.
    pub dropout: f64,
    /// How the image is made.
    pub image: Image,
    /// How inputs are scaled.
    pub scaling: Scaling,
    /// Passes over the training split, at most.
    pub epochs: u64,
    /// Epochs without a better validation RMSE before the training stops.
    pub patience: u64,
    /// Recordings of one step.
    pub batch_size: usize,
    /// Step size of AdamW.
    pub learning_rate: f64,
    /// How it goes on.
    pub schedule: Schedule,
    /// Decay of the running mean of the weights, from 0 (none) to below 1: where there is
    /// one, it is what is measured and kept.
    pub ema: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Fixes initial weights, order and crops.
    pub seed: u64,
    /// Share of the speakers that stop the training, 0 to 1.
    pub validation_share: f64,
    /// Share of the speakers that measure the model, 0 to 1.
    pub test_share: f64,
    /// What is learned of an age.
    pub target: Target,
    /// Training recordings that a process knows by themselves; of more, these are drawn, and
    /// the others are projected on them.
    pub points: usize,
    /// The share of ages that prediction intervals hold.
    pub coverage: f64,
    /// Where it computes.
    pub device: Device,
    /// Threads of a step.
    pub threads: usize,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            architecture: Architecture::Gp,
            channels: vec![32, 64, 128],
            image_units: 128,
            table_units: vec![64, 32],
            head_units: 64,
            dropout: 0.5,
            image: Image::Resize,
            scaling: Scaling::MinMax,
            epochs: 40,
            patience: 12,
            batch_size: 32,
            learning_rate: 3e-4,
            schedule: Schedule::Cosine,
            ema: 0.0,
            weight_decay: 1e-4,
            seed: 1,
            validation_share: 0.15,
            test_share: 0.15,
            target: Target::SqrtAge,
            points: 2048,
            coverage: 0.9,
            device: Device::Auto,
            threads: 2,
        }
    }
}

impl TrainSettings {
    /// Whether a training can be made of these settings.
    ///
    /// # Errors
    /// The first that cannot be, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        let units = |units: &[i64]| !units.is_empty() && units.iter().all(|&n| n >= 1);
        let demands = [
            ("epochs", self.epochs >= 1, "at least 1"),
            ("patience", self.patience >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("threads", (1..=1024).contains(&self.threads), "1 to 1024"),
            ("learning_rate", self.learning_rate > 0.0, "more than 0"),
            ("weight_decay", self.weight_decay >= 0.0, "at least 0"),
            ("dropout", share(self.dropout), "from 0 to below 1"),
            ("ema", share(self.ema), "from 0 to below 1"),
            ("coverage", share(self.coverage), "from 0 to below 1"),
            ("points", (2..=20_000).contains(&self.points), "2 to 20000"),
            ("validation_share", share(self.validation_share), "from 0 to below 1"),
            ("test_share", share(self.test_share), "from 0 to below 1"),
            (
                "test_share",
                share(self.test_share + self.validation_share),
                "less than 1 together with validation_share",
            ),
            ("image_units", self.image_units >= 1, "at least 1"),
            ("head_units", self.head_units >= 1, "at least 1"),
            ("table_units", units(&self.table_units), "one layer or more, each of at least 1"),
            (
                "channels",
                units(&self.channels) && self.channels.len() <= 7,
                "1 to 7 convolutions, each of at least 1 channel",
            ),
        ];
        match demands.into_iter().find(|(_, kept, _)| !kept) {
            Some((name, _, demand)) => Err(format!("train.{name} must be {demand}")),
            None => Ok(()),
        }
    }
}
