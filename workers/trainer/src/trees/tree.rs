//! One extremely randomised tree (Geurts, Ernst and Wehenkel 2006): at each node one random
//! threshold for every column, of which the one that parts the targets best is taken.
//!
//! Always holds: the same rows and seed give the same tree.

use voxage_dataset::Rng;

/// Rows that a leaf is of, at least.
const LEAST_OF_LEAF: usize = 3;

/// A node: a leaf, or a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    /// What is predicted.
    Leaf(f64),
    /// Rows with less than that in the column go left: to the next node. The others go to the
    /// node of that position.
    Split { column: usize, threshold: f64, right: usize },
}

/// A tree: its first node is the root.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tree(pub(super) Vec<Node>);

impl Tree {
    /// Grows a tree on rows, as many numbers in each, and their targets.
    pub(super) fn grow(rows: &[Vec<f64>], targets: &[f64], rng: &mut Rng) -> Self {
        let mut tree = Self::default();
        tree.node(rows, targets, &mut (0..rows.len()).collect::<Vec<_>>(), rng);
        tree
    }

    /// Adds the node of some rows, and all below it.
    fn node(&mut self, rows: &[Vec<f64>], targets: &[f64], of: &mut [usize], rng: &mut Rng) {
        let place = self.0.len();
        let mean = of.iter().map(|&i| targets[i]).sum::<f64>() / of.len() as f64;
        self.0.push(Node::Leaf(mean));
        let best = (0..rows[of[0]].len())
            .filter_map(|column| question(rows, targets, of, column, rng))
            .max_by(|a, b| a.2.total_cmp(&b.2));
        let Some((column, threshold, gain)) = best else { return };
        if gain <= 0.0 {
            return;
        }
        // Rows that go left come first.
        let mut left = 0;
        for i in 0..of.len() {
            if rows[of[i]][column] < threshold {
                of.swap(i, left);
                left += 1;
            }
        }
        let (left, right) = of.split_at_mut(left);
        self.node(rows, targets, left, rng);
        self.0[place] = Node::Split { column, threshold, right: self.0.len() };
        self.node(rows, targets, right, rng);
    }

    /// What it predicts of a row.
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        let mut place = 0;
        loop {
            match self.0[place] {
                Node::Leaf(value) => return value,
                Node::Split { column, threshold, .. } if row[column] < threshold => place += 1,
                Node::Split { right, .. } => place = right,
            }
        }
    }
}

/// A random threshold of a column, and the sum of squares about the mean that it takes away;
/// none if it leaves one side too few rows.
fn question(
    rows: &[Vec<f64>],
    targets: &[f64],
    of: &[usize],
    column: usize,
    rng: &mut Rng,
) -> Option<(usize, f64, f64)> {
    let values = || of.iter().map(|&i| rows[i][column]);
    let (least, most) = values()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    let share = (rng.next() >> 11) as f64 / (1_u64 << 53) as f64;
    let threshold = least + (most - least) * share;
    let (mut n, mut left, mut all) = (0, 0.0, 0.0);
    for (value, &i) in values().zip(of) {
        all += targets[i];
        if value < threshold {
            (n, left) = (n + 1, left + targets[i]);
        }
    }
    let (other, right) = (of.len() - n, all - left);
    let square = |sum: f64, n: usize| sum * sum / n as f64;
    let gain = square(left, n) + square(right, other) - square(all, of.len());
    (n >= LEAST_OF_LEAF && other >= LEAST_OF_LEAF).then_some((column, threshold, gain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_and_leaves_are_not_too_small() {
        let rows: Vec<Vec<f64>> = (0..200).map(|i| vec![f64::from(i * 37 % 200), 7.0]).collect();
        let targets: Vec<f64> =
            rows.iter().map(|row| if row[0] < 80.0 { 20.0 } else { 60.0 }).collect();
        let tree = Tree::grow(&rows, &targets, &mut Rng::new(&[1]));
        assert_eq!(tree, Tree::grow(&rows, &targets, &mut Rng::new(&[1])));
        let right = rows.iter().zip(&targets).filter(|(row, age)| tree.predict(row) == **age);
        assert!(right.count() > 190);
        let leaves: Vec<f64> = tree
            .0
            .iter()
            .filter_map(|node| match node {
                Node::Leaf(value) => Some(*value),
                Node::Split { .. } => None,
            })
            .collect();
        assert!((2..60).contains(&leaves.len()), "{}", leaves.len());
        // A mean of targets never leaves them.
        assert!(leaves.iter().all(|leaf| (20.0..=60.0).contains(leaf)));
        let few = Tree::grow(&rows[..5], &targets[..5], &mut Rng::new(&[1]));
        assert_eq!(few.0.len(), 1);
    }
}
