//! How well an order is shuffled.

/// How much an order keeps of the order of storage: 0 is nothing, 1 all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Samples.
    pub samples: u64,
    /// Spearman's rank correlation between the place in storage and the place in the order.
    /// By chance it is as large as 1 / √(shards).
    pub storage: f64,
    /// Correlation between the places in storage of each sample and the next. In blocks of
    /// n shards it is about 1 / n.
    pub neighbours: f64,
}

impl Quality {
    /// Of an order of all of `0..n`, the places in storage; not a number where `n` is below 2.
    pub(crate) fn of(order: impl Iterator<Item = u64>) -> Self {
        let (mut n, mut ranks, mut pairs, mut squares) = (0u64, 0.0, 0.0, 0.0);
        let (mut first, mut before) = (0.0, None);
        for place in order {
            let place = place as f64;
            ranks += (place - n as f64).powi(2);
            squares += place * place;
            match before {
                Some(before) => pairs += place * before,
                None => first = place,
            }
            before = Some(place);
            n += 1;
        }
        let count = n as f64;
        let mean = (count - 1.0) / 2.0;
        let variance = squares / count - mean * mean;
        // The first has nobody before it, the last nobody after.
        let ends = first + before.unwrap_or_default();
        let pairs = (pairs - mean * (count * (count - 1.0) - ends)) / (count - 1.0) + mean * mean;
        Self {
            samples: n,
            storage: 1.0 - 6.0 * ranks / (count * (count * count - 1.0)),
            neighbours: pairs / variance,
        }
    }
}
