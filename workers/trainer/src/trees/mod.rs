//! Age by extremely randomised trees over the table and the embedding: fitted to a data set,
//! predicting recordings, kept as bytes.

mod tree;

use std::sync::Arc;
use std::thread;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use voxage_contract::Split;
use voxage_contract::training::{Target, TrainSettings};
use voxage_dataset::{Dataset, Rng};

use crate::gp::{Columns, Row, choose, read};
use crate::session::{Means, Training};
use crate::tensors::{Packed, pack};
use crate::{Error, Result};
use tree::{Node, Tree};

/// Trees of a forest.
const TREES: usize = 500;

/// Rows that trees are grown on, at most: of more, these are drawn.
const MOST_ROWS: usize = 100_000;

/// The least deviation that is told, in units of what is learned: trees may all agree.
const LEAST_SPREAD: f64 = 1e-3;

/// Trees that predict ages.
#[derive(Debug)]
pub struct AgeTrees {
    /// What they look at.
    pub columns: Arc<Columns>,
    target: Target,
    trees: Vec<Tree>,
}

/// Everything about them but their nodes.
#[derive(Serialize, Deserialize)]
struct Text {
    columns: Columns,
    target: Target,
}

impl AgeTrees {
    /// Grows trees on some splits; gives also what they were grown on.
    ///
    /// # Errors
    /// If there is nothing to learn from, or reading fails.
    pub fn fit(
        dataset: &Dataset,
        settings: &TrainSettings,
        splits: &[Split],
        loader_threads: usize,
    ) -> Result<(Self, Training)> {
        let n: u64 = splits.iter().map(|split| dataset.len(*split)).sum();
        if n == 0 {
            return Err(Error::NothingToLearn(dataset.manifest().dataset.to_string()));
        }
        let mut columns = Columns::of(&dataset.manifest().spec, true);
        let chosen = choose(n, MOST_ROWS, settings.seed);
        let wanted = move |position| chosen.as_ref().is_none_or(|set| set.contains(&position));
        let (mut rows, mut targets, mut means) = (Vec::new(), Vec::new(), Means::default());
        for some in read(dataset, splits, &Arc::new(columns.clone()), loader_threads, wanted) {
            for (row, age) in some? {
                means.add(age);
                targets.push(settings.target.of_age(age));
                rows.push(row);
            }
        }
        columns.learn(&rows);
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| columns.filled(row)).collect();
        let trees = grow(&rows, &targets, settings, &|| Ok(dataset.may_go_on()?))?;
        let (columns, target) = (Arc::new(columns), settings.target);
        Ok((Self { columns, target, trees }, means.finish(0.0)))
    }

    /// Age and deviation among the trees of each of some rows, in years.
    #[must_use]
    pub fn predict(&self, rows: &[Row]) -> Vec<(f64, f64)> {
        let one = |row: &Row| {
            let row = self.columns.filled(row);
            let said: Vec<f64> = self.trees.iter().map(|tree| tree.predict(&row)).collect();
            let n = said.len() as f64;
            let mean = said.iter().sum::<f64>() / n;
            let variance = said.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / n;
            // The deviation is that of a recording, not of what is learned on average.
            let (age, _) = self.target.to_age(mean, 0.0);
            let (_, deviation) = self.target.to_age(mean, variance.sqrt().max(LEAST_SPREAD));
            (age, deviation)
        };
        rows.iter().map(one).collect()
    }

    /// The trees as a file of safetensors: nodes as rows of column (−1 for a leaf), threshold
    /// or value, and position of the right branch; tree by tree.
    ///
    /// # Errors
    /// If torch cannot hand the tensors out.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let text = Text { columns: (*self.columns).clone(), target: self.target };
        let text = serde_json::to_string(&text).map_err(|e| Error::damaged("trees", e))?;
        let nodes: Vec<f64> =
            self.trees.iter().flat_map(|tree| &tree.0).flat_map(numbers).collect();
        let nodes = Tensor::from_slice(&nodes).view([-1, 3]);
        let sizes: Vec<f64> = self.trees.iter().map(|tree| tree.0.len() as f64).collect();
        let sizes = Tensor::from_slice(&sizes);
        pack([("nodes".to_owned(), &nodes), ("sizes".to_owned(), &sizes)], Some(text))
    }

    /// The trees of such a file.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn load(key: &str, bytes: &[u8]) -> Result<Self> {
        let file = Packed::open(key, bytes)?;
        let text: Text = serde_json::from_str(file.text().unwrap_or_default())
            .map_err(|error| Error::damaged(key, error))?;
        let numbers = |name: &str| {
            let mut tensor = Tensor::zeros(file.shape(name)?, (Kind::Double, Device::Cpu));
            file.fill(name, &mut tensor)?;
            Ok::<_, Error>(Vec::<f64>::try_from(tensor.view(-1))?)
        };
        let (nodes, sizes) = (numbers("nodes")?, numbers("sizes")?);
        let width = text.columns.width();
        let mut nodes = nodes.chunks_exact(3);
        let mut trees = Vec::new();
        for size in sizes {
            let tree: Vec<[f64; 3]> = nodes
                .by_ref()
                .take(size as usize)
                .map(|node| [node[0], node[1], node[2]])
                .collect();
            let tree =
                tree.iter().enumerate().map(|(i, node)| of_numbers(*node, i, size as usize, width));
            let tree: Option<Vec<Node>> = tree.collect();
            let tree = tree.filter(|tree| tree.len() == size as usize && !tree.is_empty());
            trees.push(Tree(tree.ok_or_else(|| Error::damaged(key, "a tree leads nowhere"))?));
        }
        if trees.is_empty() {
            return Err(Error::damaged(key, "it has no trees"));
        }
        Ok(Self { columns: Arc::new(text.columns), target: text.target, trees })
    }
}

/// Grows all trees, by as many threads as a training has.
fn grow(
    rows: &[Vec<f64>],
    targets: &[f64],
    settings: &TrainSettings,
    may_go_on: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Vec<Tree>> {
    let threads = settings.threads.clamp(1, TREES);
    let one = |tree: usize| {
        may_go_on()?;
        Ok(Tree::grow(rows, targets, &mut Rng::new(&[settings.seed, 0x7265, tree as u64])))
    };
    thread::scope(|scope| {
        let part = |thread: usize| {
            scope.spawn(move || {
                (thread..TREES).step_by(threads).map(one).collect::<Result<Vec<_>>>()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        let mut parts: Vec<_> = parts
            .into_iter()
            .map(|part| match part.join() {
                Ok(trees) => Ok(trees?.into_iter()),
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect::<Result<_>>()?;
        // In their order, whatever the number of threads.
        Ok((0..TREES).filter_map(|tree| parts[tree % threads].next()).collect())
    })
}

fn numbers(node: &Node) -> [f64; 3] {
    match *node {
        Node::Leaf(value) => [-1.0, value, 0.0],
        Node::Split { column, threshold, right } => [column as f64, threshold, right as f64],
    }
}

/// A node that only leads on within its tree; none if it does not.
fn of_numbers(
    [column, number, right]: [f64; 3],
    place: usize,
    size: usize,
    width: usize,
) -> Option<Node> {
    if column < 0.0 {
        return Some(Node::Leaf(number));
    }
    let (column, right) = (column as usize, right as usize);
    let leads_on = column < width && place + 1 < right && right < size;
    leads_on.then_some(Node::Split { column, threshold: number, right })
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::FeatureSpec;

    #[test]
    fn trees_travel_as_safetensors_and_lead_nowhere_else() {
        let mut columns = Columns::of(&FeatureSpec::default(), true);
        let row =
            |i: usize| (0..columns.width()).map(|k| ((i * 31 + k * 17) % 97) as f64).collect();
        let mut rows: Vec<Row> = (0..60).map(row).collect();
        rows[3][2] = f64::NAN;
        columns.learn(&rows);
        let filled: Vec<_> = rows.iter().map(|row| columns.filled(row)).collect();
        let targets: Vec<f64> = rows.iter().map(|row| 20.0 + row[0] / 2.0).collect();
        let of = |threads| {
            let settings = TrainSettings { threads, ..TrainSettings::default() };
            grow(&filled, &targets, &settings, &|| Ok(())).unwrap()
        };
        let trees = of(1);
        assert_eq!(trees, of(3));
        let forest = AgeTrees { columns: Arc::new(columns), target: Target::Age, trees };
        let bytes = forest.to_bytes().unwrap();
        let loaded = AgeTrees::load("k", &bytes).unwrap();
        let said = loaded.predict(&rows);
        assert_eq!(said, forest.predict(&rows));
        let close =
            said.iter().zip(&targets).filter(|((age, _), target)| (age - **target).abs() < 8.0);
        assert!(close.count() > 50, "{said:?}");
        assert!(said.iter().all(|(_, deviation)| *deviation > 0.0));
        for node in [[99.0, 1.0, 2.0], [0.0, 1.0, 1.0], [0.0, 1.0, 9.0]] {
            assert_eq!(of_numbers(node, 0, 5, 15), None);
        }
        assert!(AgeTrees::load("k", &bytes[..bytes.len() - 8]).is_err());
    }
}
