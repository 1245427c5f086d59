//! What a model version is: it takes recordings and gives ages.

use std::collections::BTreeSet;
use std::sync::Arc;

use tch::Device;
use voxage_contract::training::{Architecture, TrainSettings};

use crate::blend::Blend;
use crate::gp::{AgeProcess, Columns, Row};
use crate::inputs::{Batch, Example, Inputs};
use crate::network::Network;
use crate::scaler::Scaler;
use crate::trees::AgeTrees;
use crate::{Error, Result};

/// What predicts.
#[derive(Debug)]
pub enum Estimator {
    /// A network.
    Network(Box<Network>),
    /// A Gaussian process.
    Process(AgeProcess),
    /// Trees.
    Trees(AgeTrees),
    /// Several of any.
    Blend(Blend),
}

/// A predicted age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// In years.
    pub age: f64,
    /// How unsure it is beside others, before any calibration: of a process its standard
    /// deviation in years, of trees that among them, of a network always 1.
    pub spread: f64,
}

/// What an estimator takes, of some recordings: made by the threads that read them.
#[derive(Debug)]
pub enum Taken {
    /// By a network.
    Network(Arc<Inputs>, Batch),
    /// By a process or by trees.
    Process(Arc<Columns>, Vec<Row>),
    /// By each member of a blend.
    Blend(Vec<Taken>),
}

/// What a [`Taken`] begins with.
#[derive(Debug, Clone)]
pub enum Taker {
    /// Of a network.
    Network(Arc<Inputs>),
    /// Of a process or of trees.
    Process(Arc<Columns>),
    /// Of each member of a blend.
    Blend(Vec<Taker>),
}

impl Taker {
    /// Nothing yet, with room for some recordings.
    #[must_use]
    pub fn start(&self, room: usize) -> Taken {
        match self {
            Self::Network(inputs) => Taken::Network(Arc::clone(inputs), inputs.batch(room)),
            Self::Process(columns) => Taken::Process(Arc::clone(columns), Vec::new()),
            Self::Blend(takers) => {
                Taken::Blend(takers.iter().map(|taker| taker.start(room)).collect())
            }
        }
    }
}

impl Taken {
    /// Adds a recording; gives the names of inputs that it lacks and something usual
    /// stands for.
    ///
    /// # Panics
    /// If there is no room for it.
    pub fn push(&mut self, example: &Example<'_>) -> Vec<String> {
        match self {
            Self::Network(inputs, batch) => {
                inputs.push(batch, example, None);
                inputs.scaler.imputed(example).map(str::to_owned).collect()
            }
            Self::Process(columns, rows) => {
                let row = columns.row(example);
                let lacking = columns.lacking(&row);
                rows.push(row);
                lacking
            }
            Self::Blend(all) => {
                let lacking = all.iter_mut().flat_map(|taken| taken.push(example));
                lacking.collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }
}

/// What predicts ages.
pub trait Estimates {
    /// What its inputs are made with.
    fn taker(&self) -> Taker;

    /// The ages of some recordings, in their order.
    ///
    /// # Errors
    /// If torch fails, or the inputs were made for another kind.
    fn estimates(&self, taken: &Taken) -> Result<Vec<Estimate>>;
}

impl Estimates for Network {
    fn taker(&self) -> Taker {
        Taker::Network(Arc::clone(&self.inputs))
    }

    fn estimates(&self, taken: &Taken) -> Result<Vec<Estimate>> {
        let Taken::Network(_, batch) = taken else { return Err(Error::of_another_kind()) };
        let ages = self.ages(batch)?.into_iter();
        Ok(ages.map(|age| Estimate { age, spread: 1.0 }).collect())
    }
}

impl Estimates for AgeProcess {
    fn taker(&self) -> Taker {
        Taker::Process(Arc::clone(&self.columns))
    }

    fn estimates(&self, taken: &Taken) -> Result<Vec<Estimate>> {
        let Taken::Process(_, rows) = taken else { return Err(Error::of_another_kind()) };
        let predicted = self.predict(rows)?.into_iter();
        Ok(predicted.map(|(age, spread)| Estimate { age, spread }).collect())
    }
}

impl Estimates for AgeTrees {
    fn taker(&self) -> Taker {
        Taker::Process(Arc::clone(&self.columns))
    }

    fn estimates(&self, taken: &Taken) -> Result<Vec<Estimate>> {
        let Taken::Process(_, rows) = taken else { return Err(Error::of_another_kind()) };
        let predicted = self.predict(rows).into_iter();
        Ok(predicted.map(|(age, spread)| Estimate { age, spread }).collect())
    }
}

impl Estimates for Estimator {
    fn taker(&self) -> Taker {
        match self {
            Self::Network(network) => network.taker(),
            Self::Process(process) => process.taker(),
            Self::Trees(trees) => trees.taker(),
            Self::Blend(blend) => blend.taker(),
        }
    }

    fn estimates(&self, taken: &Taken) -> Result<Vec<Estimate>> {
        match self {
            Self::Network(network) => network.estimates(taken),
            Self::Process(process) => process.estimates(taken),
            Self::Trees(trees) => trees.estimates(taken),
            Self::Blend(blend) => blend.estimates(taken),
        }
    }
}

impl Estimator {
    /// Its weights as a file; of a blend, one for each member.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn files(&self) -> Result<Vec<Vec<u8>>> {
        Ok(match self {
            Self::Network(network) => vec![network.to_bytes()?],
            Self::Process(process) => vec![process.to_bytes()?],
            Self::Trees(trees) => vec![trees.to_bytes()?],
            Self::Blend(blend) => blend.files()?,
        })
    }

    /// The network or process of such a file, the object at `key`.
    ///
    /// # Errors
    /// If it is damaged, or does not fit the settings.
    pub fn load(
        settings: &TrainSettings,
        scaler: Option<Scaler>,
        key: &str,
        bytes: &[u8],
    ) -> Result<Self> {
        if settings.architecture == Architecture::Trees {
            return Ok(Self::Trees(AgeTrees::load(key, bytes)?));
        }
        if settings.architecture.is_process() {
            return Ok(Self::Process(AgeProcess::load(key, bytes)?));
        }
        let scaler = scaler.ok_or_else(|| Error::damaged(key, "its card has no scaler"))?;
        // Some recordings are not worth a device's start.
        let network = Network::load(settings, scaler, Device::Cpu, key, bytes)?;
        Ok(Self::Network(Box::new(network)))
    }
}
