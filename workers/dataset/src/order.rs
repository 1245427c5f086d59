//! The order of a pass over one split.
//!
//! Always holds: it follows from the manifest, the split and [`Order`] alone. Shards come in
//! random order; consecutive ones make a block, and rows are shuffled within it. A block has
//! at most [`BLOCK_ROWS`] rows, from shards of at most [`BLOCK_BYTES`] together, or is one
//! shard. It knows how many rows of the split each shard has, not which.

use voxage_contract::Rng;

/// Rows that are shuffled among each other, at most.
pub const BLOCK_ROWS: u64 = 4096;

/// Size of the shards that they come from, at most.
pub const BLOCK_BYTES: u64 = 256 << 20;

/// The order of a pass over the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As it is stored.
    Stored,
    /// Shards in random order, and rows shuffled within blocks of them.
    Shuffled {
        /// Names the sequence of passes.
        seed: u64,
        /// Names the pass.
        epoch: u64,
    },
}

/// Where a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Position of its shard, in the manifest or in a block.
    pub shard: usize,
    /// Its position among the shard's rows of the split.
    pub row: usize,
}

/// What the order has to know of a shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stock {
    /// Its size.
    pub bytes: u64,
    /// Its rows of the split.
    pub rows: u32,
}

/// Some shards whose rows are shuffled among each other.
#[derive(Debug)]
pub(crate) struct Block {
    /// Positions in the manifest, with the rows of each.
    pub shards: Vec<(u32, u32)>,
    /// Position of its first sample in the pass.
    pub first: u64,
    /// Its samples.
    pub rows: u64,
}

/// All blocks of a pass: some bytes a shard.
#[derive(Debug)]
pub(crate) struct Plan {
    order: Order,
    pub blocks: Vec<Block>,
}

impl Plan {
    pub(crate) fn new(order: Order, stock: &[Stock]) -> Self {
        let mut shards: Vec<u32> =
            (0..).zip(stock).filter(|(_, s)| s.rows > 0).map(|(i, _)| i).collect();
        if let Order::Shuffled { seed, epoch } = order {
            Rng::new(&[seed, epoch, 0]).shuffle(&mut shards);
        }
        let mut blocks: Vec<Block> = Vec::new();
        let (mut bytes, mut first) = (0, 0);
        for shard in shards {
            let Stock { bytes: more, rows } = stock[shard as usize];
            let fits = |block: &&mut Block| {
                block.rows + u64::from(rows) <= BLOCK_ROWS && bytes + more <= BLOCK_BYTES
            };
            if let Some(block) = blocks.last_mut().filter(fits) {
                block.shards.push((shard, rows));
                block.rows += u64::from(rows);
                bytes += more;
            } else {
                blocks.push(Block { shards: vec![(shard, rows)], first, rows: rows.into() });
                bytes = more;
            }
            first += u64::from(rows);
        }
        Self { order, blocks }
    }

    /// Samples of the pass.
    pub(crate) fn len(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.first + block.rows)
    }

    /// The block of a sample, which must be one of the pass.
    pub(crate) fn block_of(&self, sample: u64) -> usize {
        self.blocks.partition_point(|block| block.first <= sample) - 1
    }

    /// The samples of a block in their order, with the position of their shard in the block.
    pub(crate) fn places(&self, block: usize) -> Vec<Place> {
        let shards = self.blocks[block].shards.iter().enumerate();
        let rows = |(shard, &(_, rows)): (usize, &(u32, u32))| {
            (0..rows as usize).map(move |row| Place { shard, row })
        };
        let mut places: Vec<_> = shards.flat_map(rows).collect();
        if let Order::Shuffled { seed, epoch } = self.order {
            Rng::new(&[seed, epoch, 1 + block as u64]).shuffle(&mut places);
        }
        places
    }

    /// All samples of the pass in their order, with the position of their shard in the manifest.
    pub(crate) fn all(self) -> impl Iterator<Item = Place> {
        (0..self.blocks.len()).flat_map(move |block| {
            let places = self.places(block);
            let shards = self.blocks[block].shards.clone();
            places
                .into_iter()
                .map(move |Place { shard, row }| Place { shard: shards[shard].0 as usize, row })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::Quality;
    use proptest::prelude::*;

    const SHUFFLED: Order = Order::Shuffled { seed: 1, epoch: 1 };

    proptest! {
        #[test]
        fn blocks_keep_to_their_bounds_and_have_every_row_once(
            stock in prop::collection::vec((1..100u64, 0..3000u32), 0..40),
            shuffled in any::<bool>(),
        ) {
            let stock: Vec<_> =
                stock.into_iter().map(|(mib, rows)| Stock { bytes: mib << 20, rows }).collect();
            let plan = Plan::new(if shuffled { SHUFFLED } else { Order::Stored }, &stock);
            let mut next = 0;
            for (i, block) in plan.blocks.iter().enumerate() {
                let bytes: u64 = block.shards.iter().map(|(n, _)| stock[*n as usize].bytes).sum();
                let within = block.rows <= BLOCK_ROWS && bytes <= BLOCK_BYTES;
                prop_assert!(block.shards.len() == 1 || within, "{block:?}");
                prop_assert_eq!((block.first, plan.block_of(next)), (next, i));
                next += block.rows;
                prop_assert_eq!(plan.block_of(next - 1), i);
            }
            prop_assert_eq!(plan.len(), next);
            let mut all: Vec<_> = plan.all().collect();
            let rows = |(shard, s): (usize, &Stock)| (0..s.rows as usize).map(move |row| Place { shard, row });
            let stored: Vec<_> = stock.iter().enumerate().flat_map(rows).collect();
            if shuffled {
                all.sort_unstable();
            }
            prop_assert!(all == stored);
        }
    }

    #[test]
    fn an_order_of_many_blocks_is_as_good_as_is_said() {
        // 16 shards a block, 25 blocks.
        let stock = vec![Stock { bytes: 4 << 20, rows: 256 }; 400];
        for epoch in 0..20 {
            let plan = Plan::new(Order::Shuffled { seed: 1, epoch }, &stock);
            assert_eq!(plan.blocks.len(), 25);
            let quality =
                Quality::of(plan.all().map(|place| (place.shard * 256 + place.row) as u64));
            assert_eq!(quality.samples, 400 * 256);
            // By chance 1 / √400; four times that is not.
            assert!(quality.storage.abs() < 0.2, "{quality:?}");
            assert!((quality.neighbours - 1.0 / 16.0).abs() < 0.03, "{quality:?}");
        }
    }
}
