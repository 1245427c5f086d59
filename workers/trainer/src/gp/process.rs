//! A Gaussian process (Rasmussen and Williams 2006, chapters 2 and 5) over groups of inputs:
//! a prediction with its standard deviation.
//!
//! Always holds: its settings are those of the greatest marginal likelihood of the training
//! rows; nothing is random but the choice of points, which follows from a seed. Of more rows
//! than it has points, the points are some rows, and all rows are projected on them (Quiñonero-
//! Candela and Rasmussen 2005, deterministic training conditional). It does not know what the
//! numbers mean.

use tch::{Device, Kind, Tensor};

use super::descent::least;
use super::kernel::{Group, Shape};
use crate::{Error, Result};

/// Added to the diagonal: rows may be the same.
const JITTER: f64 = 1e-6;

/// Steps towards the greatest likelihood.
const STEPS: usize = 40;

/// Amplitude of each group, and of the noise, that the search starts from and is drawn to.
const AMPLITUDE: f64 = 0.6;

/// How strongly the search is drawn to its start: as so many parts of a row.
const PULL: f64 = 0.5 / 330.0;

/// Rows whose kernel with all points is in memory at a time.
const CHUNK: i64 = 512;

/// A fitted process.
#[derive(Debug)]
pub struct Process {
    /// Groups of inputs.
    pub groups: Vec<Group>,
    /// Logarithms of the amplitudes of the groups, of their lengths, and of the noise.
    pub parameters: Vec<f64>,
    /// Of each group, the points, scaled: `[points, columns]`.
    pub points: Vec<Tensor>,
    /// What a kernel with the points is multiplied by to predict: `[points]`.
    pub weights: Tensor,
    /// What the data says of the variance: `[points, points]`.
    pub known: Tensor,
    /// Mean and standard deviation of the targets.
    pub target: (f64, f64),
}

/// Rows of all groups, each `[n, columns]`, with their targets.
#[derive(Debug)]
pub struct Rows {
    /// One tensor a group.
    pub inputs: Vec<Tensor>,
    /// What is predicted, `[n]`.
    pub targets: Tensor,
}

impl Process {
    /// Fits a process whose points are `points`, with the likeliest parameters unless some
    /// are given; `others`, if there are rows beside them, gives all rows, some at a time.
    /// `may_go_on` is asked again and again while it looks for parameters.
    ///
    /// # Errors
    /// If reading the others fails, it may not go on, or the rows are too few to say anything.
    pub fn fit(
        groups: &[(&str, Shape)],
        points: &Rows,
        parameters: Option<Vec<f64>>,
        others: Option<&mut dyn Iterator<Item = Result<Rows>>>,
        may_go_on: &dyn Fn() -> Result<()>,
    ) -> Result<Self> {
        let fit = |((name, shape), rows): (&(&str, Shape), &Tensor)| Group::fit(name, *shape, rows);
        let groups: Vec<_> = groups.iter().zip(&points.inputs).map(fit).collect();
        let scaled: Vec<_> =
            groups.iter().zip(&points.inputs).map(|(group, rows)| group.scale(rows)).collect();
        let mean = points.targets.mean(Kind::Double).double_value(&[]);
        let deviation = points.targets.std(false).double_value(&[]).max(1e-9);
        let targets = (&points.targets - mean) / deviation;
        let between: Vec<_> =
            groups.iter().zip(&scaled).map(|(group, rows)| group.between(rows, rows)).collect();
        let parameters = match parameters {
            Some(parameters) => parameters,
            None => likeliest(&groups, &between, &targets, may_go_on)?,
        };
        let mut process = Self {
            groups,
            parameters,
            points: scaled,
            weights: Tensor::zeros([0], (Kind::Double, Device::Cpu)),
            known: Tensor::zeros([0], (Kind::Double, Device::Cpu)),
            target: (mean, deviation),
        };
        let kernel = process.kernel(&between);
        match others {
            None => {
                let (factor, _) =
                    cholesky(&(kernel + eye(&targets) * process.noise())).ok_or_else(too_few)?;
                process.weights = solve(&factor, &targets);
                process.known = factor.cholesky_inverse(false);
            }
            Some(others) => process.project(&kernel, others)?,
        }
        // As a file would give it: another order in memory gives other sums.
        process.known = process.known.contiguous();
        Ok(process)
    }

    /// Projects all rows on the points.
    fn project(
        &mut self,
        kernel: &Tensor,
        others: &mut dyn Iterator<Item = Result<Rows>>,
    ) -> Result<()> {
        let noise = self.noise();
        let points = kernel + eye(&kernel.select(0, 0)) * JITTER;
        let mut all = &points * noise;
        let mut sum = Tensor::zeros([kernel.size()[0], 1], (Kind::Double, Device::Cpu));
        for rows in others {
            let rows = rows?;
            let targets = ((&rows.targets - self.target.0) / self.target.1).unsqueeze(1);
            let with = self.with_points(&self.scale(&rows.inputs));
            all += with.tr().matmul(&with);
            sum += with.tr().matmul(&targets);
        }
        let (factor, _) = cholesky(&all).ok_or_else(too_few)?;
        let (alone, _) = cholesky(&points).ok_or_else(too_few)?;
        self.weights = sum.cholesky_solve(&factor, false).squeeze_dim(1);
        self.known = alone.cholesky_inverse(false) - factor.cholesky_inverse(false) * noise;
        Ok(())
    }

    /// Mean and standard deviation for each of some rows, `[n, columns]` for each group.
    ///
    /// # Errors
    /// If torch cannot hand the numbers out.
    pub fn predict(&self, inputs: &[Tensor]) -> Result<Vec<(f64, f64)>> {
        let scaled = self.scale(inputs);
        let n = scaled.first().map_or(0, |rows| rows.size()[0]);
        let mut predicted = Vec::new();
        for start in (0..n).step_by(CHUNK as usize) {
            let rows: Vec<_> =
                scaled.iter().map(|rows| rows.narrow(0, start, CHUNK.min(n - start))).collect();
            let with = self.with_points(&rows);
            let means = with.matmul(&self.weights);
            let itself = self.groups.iter().zip(&rows).enumerate();
            let itself = itself.map(|(i, (group, rows))| group.itself(rows) * self.amplitude(i));
            let prior: Tensor = itself.fold(Tensor::from(self.noise()), |sum, each| sum + each);
            let explained =
                (with.matmul(&self.known) * &with).sum_dim_intlist(1, false, Kind::Double);
            let deviations = (prior - explained).clamp_min(JITTER).sqrt();
            let (means, deviations) =
                (Vec::<f64>::try_from(means)?, Vec::<f64>::try_from(deviations)?);
            let (mean, deviation) = self.target;
            let unscaled = means.into_iter().zip(deviations);
            predicted.extend(unscaled.map(|(m, d)| (mean + m * deviation, d * deviation)));
        }
        Ok(predicted)
    }

    fn scale(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        self.groups.iter().zip(inputs).map(|(group, rows)| group.scale(rows)).collect()
    }

    /// The kernel of scaled rows with the points, `[n, points]`.
    fn with_points(&self, rows: &[Tensor]) -> Tensor {
        let each = self.groups.iter().zip(rows).zip(&self.points);
        self.kernel(&each.map(|((group, a), b)| group.between(a, b)).collect::<Vec<_>>())
    }

    fn kernel(&self, between: &[Tensor]) -> Tensor {
        let each = self.groups.iter().zip(between).enumerate().map(|(i, (group, between))| {
            let length = self.parameters[self.groups.len() + i];
            group.kernel(between, length).0 * self.amplitude(i)
        });
        each.reduce(|sum, each| sum + each).unwrap_or_default()
    }

    /// The amplitude of a group, squared.
    fn amplitude(&self, group: usize) -> f64 {
        (2.0 * self.parameters[group]).exp()
    }

    /// The variance of the noise.
    fn noise(&self) -> f64 {
        (2.0 * self.parameters[2 * self.groups.len()]).exp() + JITTER
    }
}

/// The parameters of the greatest marginal likelihood, drawn to the start a little.
fn likeliest(
    groups: &[Group],
    between: &[Tensor],
    targets: &Tensor,
    may_go_on: &dyn Fn() -> Result<()>,
) -> Result<Vec<f64>> {
    let n = groups.len();
    let mut start = vec![AMPLITUDE.ln(); 2 * n + 1];
    start[n..2 * n].fill(0.0);
    let pull = PULL * targets.numel() as f64;
    least(&start, STEPS, |parameters| {
        may_go_on()?;
        let (mut value, mut slope) = unlikelihood(groups, between, targets, parameters);
        for ((slope, parameter), start) in slope.iter_mut().zip(parameters).zip(&start) {
            value += pull * (parameter - start).powi(2);
            *slope += 2.0 * pull * (parameter - start);
        }
        Ok((value, slope))
    })
}

/// The negative logarithm of the marginal likelihood, but for a constant, and its slope;
/// infinite where the kernel is no kernel.
fn unlikelihood(
    groups: &[Group],
    between: &[Tensor],
    targets: &Tensor,
    parameters: &[f64],
) -> (f64, Vec<f64>) {
    let n = groups.len();
    let amplitude = |i: usize| (2.0 * parameters[i]).exp();
    let noise = amplitude(2 * n);
    let kernels: Vec<_> =
        (0..n).map(|i| groups[i].kernel(&between[i], parameters[n + i])).collect();
    let weighted = kernels.iter().enumerate().map(|(i, (kernel, _))| kernel * amplitude(i));
    let sum = weighted.fold(eye(targets) * (noise + JITTER), |sum, each| sum + each);
    let mut slope = vec![0.0; 2 * n + 1];
    let Some((factor, log_determinant)) = cholesky(&sum) else { return (f64::INFINITY, slope) };
    let weights = solve(&factor, targets);
    let value = 0.5 * targets.dot(&weights).double_value(&[]) + log_determinant;
    // The slope by a parameter is the sum of the products of this with that of the kernel.
    let outer = factor.cholesky_inverse(false) - weights.outer(&weights);
    let along = |kernel: &Tensor| (&outer * kernel).sum(Kind::Double).double_value(&[]);
    for (i, (kernel, by_length)) in kernels.iter().enumerate() {
        slope[i] = amplitude(i) * along(kernel);
        if let Some(by_length) = by_length {
            slope[n + i] = 0.5 * amplitude(i) * along(by_length);
        }
    }
    slope[2 * n] = noise * outer.trace().double_value(&[]);
    (value, slope)
}

/// The lower factor of a matrix, and the logarithm of its own determinant; none if the matrix
/// is not positive definite.
fn cholesky(matrix: &Tensor) -> Option<(Tensor, f64)> {
    let (factor, info) = matrix.linalg_cholesky_ex(false, false);
    let log = factor.diagonal(0, 0, 1).log().sum(Kind::Double).double_value(&[]);
    (info.int64_value(&[]) == 0 && log.is_finite()).then_some((factor, log))
}

fn solve(factor: &Tensor, vector: &Tensor) -> Tensor {
    vector.unsqueeze(1).cholesky_solve(factor, false).squeeze_dim(1)
}

fn eye(like: &Tensor) -> Tensor {
    Tensor::eye(like.size()[0], (Kind::Double, Device::Cpu))
}

fn too_few() -> Error {
    Error::Setting("train.architecture: the recordings are too few, or all alike, for a gp".into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Points on a line, with noise of a known size around a smooth curve.
    fn rows(n: i64, seed: i64) -> Rows {
        tch::manual_seed(seed);
        let options = (Kind::Double, Device::Cpu);
        let x = Tensor::rand([n, 1], options) * 10.0;
        let side = Tensor::randn([n, 1], options);
        let curve: Tensor = x.sin() * 3.0 + &side * 2.0 + 20.0;
        let targets = (curve + Tensor::randn([n, 1], options) * 0.5).squeeze_dim(1);
        Rows { inputs: vec![x, side], targets }
    }

    const GROUPS: [(&str, Shape); 2] = [("x", Shape::Smooth), ("side", Shape::Linear)];

    /// Root mean square of the errors, and of the errors over the deviations.
    fn errors(process: &Process, rows: &Rows) -> (f64, f64) {
        let predicted = process.predict(&rows.inputs).unwrap();
        let truth = Vec::<f64>::try_from(&rows.targets).unwrap();
        let n = truth.len() as f64;
        let (mut errors, mut standard) = (0.0, 0.0);
        for ((mean, deviation), truth) in predicted.into_iter().zip(truth) {
            errors += (mean - truth).powi(2) / n;
            standard += ((mean - truth) / deviation).powi(2) / n;
        }
        (errors.sqrt(), standard.sqrt())
    }

    #[test]
    fn a_curve_is_found_with_the_size_of_its_noise() {
        let process = Process::fit(&GROUPS, &rows(300, 1), None, None, &|| Ok(())).unwrap();
        let (error, standard) = errors(&process, &rows(300, 2));
        assert!((0.4..0.65).contains(&error), "{error}");
        assert!((0.8..1.2).contains(&standard), "{standard}");
        // Far from all rows, it knows nothing but the mean.
        let far =
            vec![Tensor::from_slice(&[1e4]).view([1, 1]), Tensor::from_slice(&[0.0]).view([1, 1])];
        let (_, sure) = process.predict(&rows(1, 3).inputs).unwrap()[0];
        let (_, unsure) = process.predict(&far).unwrap()[0];
        assert!(unsure > 2.0 * sure, "{unsure} {sure}");
    }

    #[test]
    fn it_stops_when_it_may_not_go_on() {
        let asked = Cell::new(0);
        let may_go_on = || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { Ok(()) } else { Err(voxage_dataset::Error::Stopped.into()) }
        };
        let stopped = Process::fit(&GROUPS, &rows(60, 1), None, None, &may_go_on);
        assert!(matches!(stopped, Err(Error::Dataset(voxage_dataset::Error::Stopped))));
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn more_rows_than_points_say_more_than_the_points() {
        let all = rows(3000, 4);
        let cut = |start: i64, n: i64| Rows {
            inputs: all.inputs.iter().map(|x| x.narrow(0, start, n)).collect(),
            targets: all.targets.narrow(0, start, n),
        };
        let points = cut(0, 60);
        let alone = Process::fit(&GROUPS, &points, None, None, &|| Ok(())).unwrap();
        let mut chunks = (0..30).map(|i| Ok(cut(i * 100, 100)));
        let projected =
            Process::fit(&GROUPS, &points, None, Some(&mut chunks), &|| Ok(())).unwrap();
        let held_out = rows(500, 5);
        let ((few, _), (many, standard)) =
            (errors(&alone, &held_out), errors(&projected, &held_out));
        assert!(many < 0.95 * few && many < 0.56, "{many} {few}");
        assert!((0.8..1.3).contains(&standard), "{standard}");
    }

    #[test]
    fn the_slope_is_that_of_the_value() {
        let rows = rows(40, 6);
        let fit = |((name, shape), rows): (&(&str, Shape), &Tensor)| {
            let group = Group::fit(name, *shape, rows);
            let scaled = group.scale(rows);
            let between = group.between(&scaled, &scaled);
            (group, between)
        };
        let (groups, between): (Vec<_>, Vec<_>) = GROUPS.iter().zip(&rows.inputs).map(fit).unzip();
        let targets = (&rows.targets - 20.0) / 3.0;
        let at = |parameters: &[f64]| unlikelihood(&groups, &between, &targets, parameters);
        let parameters = [0.1, -0.3, -0.4, 0.0, -0.8];
        let (_, slope) = at(&parameters);
        for i in 0..parameters.len() {
            let moved = |by: f64| {
                let mut moved = parameters;
                moved[i] += by;
                at(&moved).0
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope[i] - expected).abs() < 1e-4, "{i}: {} {expected}", slope[i]);
        }
    }
}
