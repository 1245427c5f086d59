//! How much each age counts where some are rare: label distribution smoothing.

/// Whole years that ages are counted by: 0 to 100, older ones among the last.
const YEARS: usize = 101;

/// How many training rows there are of each age.
#[derive(Debug)]
pub struct Years([u64; YEARS]);

impl Default for Years {
    fn default() -> Self {
        Self([0; YEARS])
    }
}

impl Years {
    /// Counts an age in years.
    pub fn add(&mut self, age: f64) {
        // A negative age or none is year 0.
        self.0[(age as usize).min(YEARS - 1)] += 1;
    }

    /// The weight of each whole year: the inverse root of its share, smoothed by a Gaussian
    /// of some deviation in years, with a mean of 1 over the rows (Yang et al. 2021,
    /// "Delving into Deep Imbalanced Regression", square-root inverse).
    #[must_use]
    pub fn weights(&self, deviation_years: f64) -> Vec<f32> {
        let kernel = |apart: usize| (-0.5 * (apart as f64 / deviation_years).powi(2)).exp();
        let common = |year: usize| -> f64 {
            let near = self.0.iter().enumerate();
            near.map(|(other, &rows)| rows as f64 * kernel(year.abs_diff(other))).sum()
        };
        // Where nobody is near, as if one row was: nothing may count without limit.
        let weights: [f64; YEARS] = std::array::from_fn(|year| common(year).max(1.0).powf(-0.5));
        let rows: u64 = self.0.iter().sum();
        let sum: f64 = self.0.iter().zip(weights).map(|(&rows, weight)| rows as f64 * weight).sum();
        weights.map(|weight| (weight * rows as f64 / sum) as f32).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_ages_count_more_and_all_together_the_same() {
        let mut years = Years::default();
        let ages = [vec![20.5; 90], vec![70.0; 10]].concat();
        ages.iter().for_each(|&age| years.add(age));
        let weights = years.weights(2.0);
        // Nine times as common, a third of the weight.
        assert!((weights[70] / weights[20] - 3.0).abs() < 1e-5);
        // Near a common age it is common.
        assert!(weights[21] < 1.2 * weights[20] && weights[45] > weights[70]);
        let sum: f32 = ages.iter().map(|&age| weights[age as usize]).sum();
        assert!((sum - 100.0).abs() < 1e-3);
    }
}
