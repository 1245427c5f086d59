//! What a trainer says.

use serde::{Deserialize, Serialize};

use super::Evaluation;
use crate::ShardId;

/// What a trainer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far a long work is.
    Progress {
        /// Samples done.
        done: u64,
        /// Samples in all, at most.
        total: u64,
        /// How it goes.
        message: String,
    },
    /// What some steps of a training came to.
    Measured(Metric),
    /// Something that a person should know.
    Note {
        /// It.
        message: String,
    },
    /// Something that a person should see to.
    Warning {
        /// It.
        message: String,
    },
    /// One recording's prediction, in the order of the request.
    Prediction(Prediction),
    /// All recordings of a shard were predicted: those since the last such event.
    ShardPredicted {
        /// The shard.
        shard: ShardId,
    },
    /// Predictions are served from now on.
    Serving {
        /// Where.
        address: String,
        /// Key of the model version.
        model: String,
    },
    /// The end of serving.
    Served,
    /// The end of a training that was asked to stop: it goes on from a checkpoint when it
    /// is asked for again.
    Interrupted {
        /// The run.
        run: String,
        /// Steps that are behind it.
        step: u64,
    },
    /// The end of a training that another process is at.
    Busy {
        /// The run.
        run: String,
        /// The other process, for people.
        holder: String,
    },
    /// The end of a training.
    Trained(Trained),
    /// The end of an export.
    Exported {
        /// Key of the model version.
        model: String,
    },
    /// The end of an evaluation.
    Evaluated(Evaluated),
    /// The end of a prediction.
    Predicted {
        /// Key of the model version that was used.
        model: String,
    },
    /// The end of anything that failed.
    Failed {
        /// Why, and what to do.
        message: String,
        /// Whether the same may succeed later.
        transient: bool,
    },
}

/// One line of a run's metrics: what some steps, or a whole epoch, came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Steps since the start of the run.
    pub step: u64,
    /// The epoch under way, from 1.
    pub epoch: u64,
    /// Mean loss of the steps since the last such line, or of the epoch; none if it was no
    /// number.
    pub loss: Option<f64>,
    /// Step size.
    pub learning_rate: f64,
    /// Samples trained a second, in the same time.
    pub samples_per_s: f64,
    /// Share of that time in which it waited for samples; none of an epoch.
    #[serde(default)]
    pub loader_wait: Option<f64>,
    /// The RMSE in years on the split that stops the training, at the end of an epoch.
    pub stopping_rmse: Option<f64>,
    /// Whether this is about a whole epoch.
    pub epoch_end: bool,
    /// When, in seconds since 1970.
    pub at_unix_s: f64,
}

impl Metric {
    /// Its numbers by name.
    pub fn scalars(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let of_epoch = [("epoch/loss", self.loss), ("epoch/stopping_rmse", self.stopping_rmse)];
        let of_steps = [
            ("loss", self.loss),
            ("learning_rate", Some(self.learning_rate)),
            ("samples_per_s", Some(self.samples_per_s)),
            ("loader_wait", self.loader_wait),
        ];
        let epoch_end = self.epoch_end;
        let of_epoch = of_epoch.into_iter().filter(move |_| epoch_end);
        let all = of_epoch.chain(of_steps.into_iter().filter(move |_| !epoch_end));
        all.filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A recording's predicted age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The recording.
    pub id: String,
    /// Its audio.
    pub path: String,
    /// Years; none if the recording cannot be predicted.
    pub age: Option<f64>,
    /// Years between which the age lies with the model's coverage; none if the model has no
    /// calibration.
    pub interval: Option<[f64; 2]>,
    /// What was odd, imputed, or in the way.
    pub warnings: Vec<String>,
}

/// A trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The run.
    pub run: String,
    /// Key of the model version; empty for a part of a cross-validation.
    pub model: String,
    /// Epochs that were trained.
    pub epochs: u64,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: u64,
    /// Its RMSE on the validation split, in years.
    pub validation_rmse: Option<f64>,
    /// How it does on the test split.
    pub evaluation: Evaluation,
    /// Key of the test split's predictions.
    pub predictions: String,
}

/// A measured model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Key of the model version.
    pub model: String,
    /// Key of the sealed manifest.
    pub manifest: String,
    /// How it does on the test split.
    pub evaluation: Evaluation,
    /// Key of the test split's predictions.
    pub predictions: String,
}
