//! What settings of a training may be, where that is one of a few.

use serde::{Deserialize, Serialize};

use crate::scores::MAX_AGE_YEARS;

/// How an image of some frames is made of a spectrogram of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// The first frames; shorter recordings are padded with silence.
    First,
    /// All frames, averaged or interpolated to as many as the image has.
    Resize,
    /// Frames from a random place in training, otherwise from the middle or from windows
    /// spread over the recording; shorter recordings are padded with silence.
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
    /// distribution with a mean and a deviation; not below 0, and no older than is believed of
    /// anybody: a network that has gone astray says anything.
    #[must_use]
    pub fn to_age(self, mean: f64, deviation: f64) -> (f64, f64) {
        let variance = deviation * deviation;
        let (age, deviation) = match self {
            Self::Age => (mean, deviation),
            Self::SqrtAge => (
                mean * mean + variance,
                (4.0 * mean * mean * variance + 2.0 * variance * variance).sqrt(),
            ),
            Self::LogAge => {
                let age = (mean + variance / 2.0).exp();
                (age, age * variance.exp_m1().sqrt())
            }
        };
        (age.clamp(0.0, MAX_AGE_YEARS), deviation)
    }
}

/// What a training goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The squared error.
    Mse,
    /// The same for small errors; large ones count only as much as they are large.
    Huber,
    /// A distribution over ages in whole years, of which the mean is predicted: cross entropy,
    /// error of the mean, and variance (Pan et al. 2018).
    MeanVariance,
    /// For each whole year, whether somebody is older; the years that somebody is older than
    /// are the age (Niu et al. 2016).
    Ordinal,
}

impl Loss {
    /// Whether it is over whole years, of which a network says something each.
    #[must_use]
    pub fn is_over_years(self) -> bool {
        matches!(self, Self::MeanVariance | Self::Ordinal)
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
    /// On the processor, the products of training steps in bf16: faster where it has
    /// instructions for that (AVX512_BF16, AMX), slower elsewhere.
    #[serde(rename = "cpu-bf16")]
    CpuBf16,
    /// On a GPU, which must be there.
    Cuda,
}

/// What learns, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// A Gaussian process over statistics of the spectrogram, the table and the embedding.
    #[serde(rename = "gp")]
    Gp,
    /// The same with nothing but straight lines, over the table and the embedding alone.
    #[serde(rename = "ridge")]
    Ridge,
    /// Extremely randomised trees over the table and the embedding.
    #[serde(rename = "trees")]
    Trees,
    /// The original report's: convolutions over the image, an MLP over the table, joined.
    #[serde(rename = "seed-cnn-mlp")]
    SeedCnnMlp,
    /// A compact residual network over the image: about a million weights.
    #[serde(rename = "se-resnet")]
    SeResNet,
    /// A compact network of convolutions over time: about two million weights.
    #[serde(rename = "ecapa")]
    Ecapa,
    /// timm's `efficientnet_b0`: 4.0 million weights.
    #[serde(rename = "efficientnet-b0")]
    EfficientNetB0,
    /// timm's `efficientnet_b1`: 6.5 million weights.
    #[serde(rename = "efficientnet-b1")]
    EfficientNetB1,
    /// timm's `efficientnet_b2`: 7.7 million weights.
    #[serde(rename = "efficientnet-b2")]
    EfficientNetB2,
    /// timm's `efficientnet_b3`: 10.7 million weights.
    #[serde(rename = "efficientnet-b3")]
    EfficientNetB3,
    /// timm's `seresnext50_32x4d`: 25.5 million weights.
    #[serde(rename = "se-resnext50")]
    SeResNext50,
    /// timm's `dm_nfnet_f0`: 68.4 million weights.
    #[serde(rename = "nfnet-f0")]
    NfNetF0,
    /// A weighted mean of other model versions: not trained, but made of them.
    #[serde(rename = "blend")]
    Blend,
}

impl Architecture {
    /// Whether it is a Gaussian process, not a network.
    #[must_use]
    pub fn is_process(self) -> bool {
        matches!(self, Self::Gp | Self::Ridge)
    }

    /// Whether it is a network.
    #[must_use]
    pub fn is_network(self) -> bool {
        !self.is_process() && self != Self::Trees
    }

    /// Whether it is a published network, of which there are pretrained checkpoints.
    #[must_use]
    pub fn is_published(self) -> bool {
        !matches!(
            self,
            Self::Gp
                | Self::Ridge
                | Self::Trees
                | Self::SeedCnnMlp
                | Self::SeResNet
                | Self::Ecapa
                | Self::Blend
        )
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gp => "gp",
            Self::Ridge => "ridge",
            Self::Trees => "trees",
            Self::SeedCnnMlp => "seed-cnn-mlp",
            Self::SeResNet => "se-resnet",
            Self::Ecapa => "ecapa",
            Self::EfficientNetB0 => "efficientnet-b0",
            Self::EfficientNetB1 => "efficientnet-b1",
            Self::EfficientNetB2 => "efficientnet-b2",
            Self::EfficientNetB3 => "efficientnet-b3",
            Self::SeResNext50 => "se-resnext50",
            Self::NfNetF0 => "nfnet-f0",
            Self::Blend => "blend",
        }
    }
}
