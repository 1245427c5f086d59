//! Age by a Gaussian process: fitted to a data set, predicting recordings, kept as bytes.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use voxage_contract::Split;
use voxage_contract::training::{Architecture, Target, TrainSettings};
use voxage_dataset::{Columns as All, Dataset, Order, Pass, Rng, Samples};

use super::columns::{Columns, Row};
use super::kernel::Group;
use super::process::{Process, Rows};
use crate::inputs::Example;
use crate::session::{Means, Training};
use crate::tensors::{Packed, pack};
use crate::{Error, Result};

/// Samples that are read at a time.
const BATCH: usize = 256;

/// A process that predicts ages.
#[derive(Debug)]
pub struct AgeProcess {
    /// What it looks at.
    pub columns: Arc<Columns>,
    /// What it predicts of the age.
    pub target: Target,
    process: Process,
}

/// Everything about it but its tensors.
#[derive(Serialize, Deserialize)]
struct Text {
    columns: Columns,
    target: Target,
    groups: Vec<Group>,
    parameters: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl AgeProcess {
    /// Fits a process to some splits; of more rows than the settings' points, to some of them
    /// first. Without `parameters`, it finds the likeliest. Gives also what it was fitted to.
    ///
    /// # Errors
    /// If there is nothing to learn from, or reading fails.
    pub fn fit(
        dataset: &Dataset,
        settings: &TrainSettings,
        splits: &[Split],
        parameters: Option<Vec<f64>>,
        threads: usize,
    ) -> Result<(Self, Training)> {
        let n: u64 = splits.iter().map(|split| dataset.len(*split)).sum();
        if n == 0 {
            return Err(Error::NothingToLearn(dataset.manifest().dataset.to_string()));
        }
        let (points, target) = (settings.points, settings.target);
        let linear = settings.architecture == Architecture::Ridge;
        let mut columns = Columns::of(&dataset.manifest().spec, linear);
        let chosen = choose(n, points, settings.seed);
        let wanted = move |position| chosen.as_ref().is_none_or(|set| set.contains(&position));
        let mut gathered = Vec::new();
        for rows in read(dataset, splits, &Arc::new(columns.clone()), threads, wanted) {
            gathered.extend(rows?);
        }
        let (rows, ages): (Vec<Row>, Vec<f64>) = gathered.into_iter().unzip();
        columns.learn(&rows);
        let columns = Arc::new(columns);
        let whole = rows_of(&columns, target, &rows, &ages);
        drop(rows);
        let groups: Vec<_> =
            columns.groups().into_iter().map(|(name, shape, _)| (name, shape)).collect();
        let mut means = Means::default();
        let may_go_on = || Ok(dataset.may_go_on()?);
        let process = if n <= points as u64 {
            ages.iter().for_each(|age| means.add(*age));
            Process::fit(&groups, &whole, parameters, None, &may_go_on)?
        } else {
            let mut all = read(dataset, splits, &columns, threads, |_| true).map(|rows| {
                let (rows, ages): (Vec<Row>, Vec<f64>) = rows?.into_iter().unzip();
                ages.iter().for_each(|age| means.add(*age));
                Ok(rows_of(&columns, target, &rows, &ages))
            });
            Process::fit(&groups, &whole, parameters, Some(&mut all), &may_go_on)?
        };
        Ok((Self { columns, target, process }, means.finish(0.0)))
    }

    /// What [`fit`](Self::fit) found to be the likeliest.
    #[must_use]
    pub fn parameters(&self) -> Vec<f64> {
        self.process.parameters.clone()
    }

    /// Age and standard deviation of each of some rows, in years.
    ///
    /// # Errors
    /// If torch fails.
    pub fn predict(&self, rows: &[Row]) -> Result<Vec<(f64, f64)>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let predicted = self.process.predict(&self.columns.tensors(rows))?;
        Ok(predicted.into_iter().map(|(m, d)| self.target.to_age(m, d)).collect())
    }

    /// The process as a file of safetensors.
    ///
    /// # Errors
    /// If torch cannot hand the tensors out.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let Process { groups, parameters, points, weights, known, target } = &self.process;
        let text = Text {
            columns: (*self.columns).clone(),
            target: self.target,
            groups: groups.clone(),
            parameters: parameters.clone(),
            mean: target.0,
            deviation: target.1,
        };
        let text = serde_json::to_string(&text).map_err(|e| Error::damaged("a process", e))?;
        let named = groups
            .iter()
            .zip(points)
            .map(|(group, points)| (format!("points/{}", group.name), points));
        let rest = [("weights".to_owned(), weights), ("known".to_owned(), known)];
        pack(named.chain(rest), Some(text))
    }

    /// The process of such a file.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn load(key: &str, bytes: &[u8]) -> Result<Self> {
        let file = Packed::open(key, bytes)?;
        let text: Text = serde_json::from_str(file.text().unwrap_or_default())
            .map_err(|error| Error::damaged(key, error))?;
        let tensor = |name: &str| {
            let shape = file.shape(name)?;
            let mut tensor = Tensor::zeros(shape, (Kind::Double, Device::Cpu));
            file.fill(name, &mut tensor).map(|()| tensor)
        };
        let points = text.groups.iter().map(|group| tensor(&format!("points/{}", group.name)));
        let points = points.collect::<Result<_>>()?;
        let process = Process {
            points,
            weights: tensor("weights")?,
            known: tensor("known")?,
            groups: text.groups,
            parameters: text.parameters,
            target: (text.mean, text.deviation),
        };
        Ok(Self { columns: Arc::new(text.columns), target: text.target, process })
    }
}

/// The positions of the rows that are drawn, of more than `points`; none if all are.
pub(crate) fn choose(n: u64, points: usize, seed: u64) -> Option<HashSet<u64>> {
    (n > points as u64).then(|| {
        let mut rng = Rng::new(&[seed, 0x6AAD]);
        let mut chosen = HashSet::with_capacity(points);
        while chosen.len() < points {
            chosen.insert(rng.below(n as usize) as u64);
        }
        chosen
    })
}

/// The rows of some splits that `wanted` says yes to by their position, with their ages, some
/// at a time.
pub(crate) fn read(
    dataset: &Dataset,
    splits: &[Split],
    columns: &Arc<Columns>,
    threads: usize,
    wanted: impl Fn(u64) -> bool + Clone + Send + Sync + 'static,
) -> impl Iterator<Item = Result<Vec<(Row, f64)>>> {
    let taken = if columns.linear { All::Table } else { All::All };
    let mut before = 0;
    let each = splits.iter().map(move |&split| {
        let (columns, wanted, first_of_split) = (Arc::clone(columns), wanted.clone(), before);
        before += dataset.len(split);
        let assemble = move |first: u64, samples: &mut Samples<'_>| {
            let positions = first_of_split + first..;
            let wanted = positions.zip(samples).filter(|(position, _)| wanted(*position));
            let row = |(_, sample)| {
                (columns.row(&Example::from(&sample)), sample.age_years().unwrap_or_default())
            };
            wanted.map(row).collect::<Vec<_>>()
        };
        let pass = Pass { split, order: Order::Stored, columns: taken, start: 0 };
        dataset.batches(pass, BATCH, threads, assemble).map(|rows| Ok(rows?))
    });
    each.flatten()
}

fn rows_of(columns: &Columns, target: Target, rows: &[Row], ages: &[f64]) -> Rows {
    let targets: Vec<f64> = ages.iter().map(|age| target.of_age(*age)).collect();
    Rows { inputs: columns.tensors(rows), targets: Tensor::from_slice(&targets) }
}
