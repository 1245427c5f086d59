//! How alike two recordings are: a sum over groups of inputs, each with its own say.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// One group of columns, as a kernel sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, for people.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Of each column, the mean of the training rows.
    pub means: Vec<f64>,
    /// Of each column, their standard deviation; infinite for one that never varies.
    pub deviations: Vec<f64>,
}

/// The shape of a group's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `exp(-|x - x'|² / 2l²)`.
    Smooth,
    /// `x · x'`.
    Linear,
}

/// Columns are clipped at so many standard deviations: an outlier costs nothing.
const CLIP: f64 = 5.0;

impl Group {
    /// Learns the columns of some training rows, `[n, columns]`; columns that are the same
    /// in all rows count for nothing.
    #[must_use]
    pub fn fit(name: &str, shape: Shape, rows: &Tensor) -> Self {
        let means = rows.mean_dim(0, false, Kind::Double);
        let deviations = rows.std_dim(0, false, false);
        let numbers = |tensor: &Tensor| Vec::<f64>::try_from(tensor).unwrap_or_default();
        let deviations = numbers(&deviations).into_iter();
        let varies = |deviation: f64| if deviation > 1e-9 { deviation } else { f64::MAX };
        Self {
            name: name.into(),
            shape,
            means: numbers(&means),
            deviations: deviations.map(varies).collect(),
        }
    }

    /// Rows `[n, columns]`, scaled so that the distance of two is about 1 on average.
    pub fn scale(&self, rows: &Tensor) -> Tensor {
        let (means, deviations) =
            (Tensor::from_slice(&self.means), Tensor::from_slice(&self.deviations));
        let scaled = ((rows - means) / deviations).clamp(-CLIP, CLIP);
        scaled / (self.means.len() as f64).sqrt()
    }

    /// What the kernel is made of for two sets of scaled rows, `[n, m]`: squared distances,
    /// or products.
    pub fn between(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let products = a.matmul(&b.tr());
        match self.shape {
            Shape::Linear => products,
            Shape::Smooth => {
                let squares = |x: &Tensor| x.square().sum_dim_intlist(1, false, Kind::Double);
                let both = squares(a).unsqueeze(1) + squares(b).unsqueeze(0);
                (both - products * 2.0).clamp_min(0.0)
            }
        }
    }

    /// The kernel, `[n, m]`, and its derivative by the logarithm of the length `l`.
    pub fn kernel(&self, between: &Tensor, log_length: f64) -> (Tensor, Option<Tensor>) {
        match self.shape {
            Shape::Linear => (between.shallow_clone(), None),
            Shape::Smooth => {
                let scaled = between * (-2.0 * log_length).exp();
                let kernel = (&scaled * -0.5).exp();
                let slope = &kernel * scaled;
                (kernel, Some(slope))
            }
        }
    }

    /// The kernel of each scaled row with itself, `[n]`.
    pub fn itself(&self, rows: &Tensor) -> Tensor {
        match self.shape {
            Shape::Linear => rows.square().sum_dim_intlist(1, false, Kind::Double),
            Shape::Smooth => Tensor::ones([rows.size()[0]], (Kind::Double, tch::Device::Cpu)),
        }
    }
}
