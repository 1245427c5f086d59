//! What is asked of a trainer and what it answers: one [`Request`] as a line of JSON on
//! its standard input, then [`Event`]s as lines of JSON on its standard output.
//!
//! Always holds: a [`TrainRequest`] says everything that a model depends on, so that the
//! same request is the same run.

mod augment;
mod choices;
mod evaluation;
mod event;
mod fold;
mod nets;
mod promotion;
mod request;
mod settings;

pub use augment::Augment;
pub use choices::{Architecture, Device, Image, Loss, Scaling, Schedule, Target};
pub use evaluation::{Baseline, Cell, Evaluation, Ridge, Scores, SplitEvaluation};
pub use event::{Evaluated, Event, Metric, Prediction, Trained};
pub use fold::Fold;
pub use nets::{Ecapa, SeResNet};
pub use promotion::{Promotion, Reason};
pub use request::{
    Access, BlendPart, CacheSettings, EvaluateRequest, ExportRequest, PredictRequest,
    PredictShardsRequest, Request, ServeRequest, TrainRequest, Upkeep,
};
pub use settings::TrainSettings;

#[cfg(test)]
mod tests;
