//! What of the compact networks can be chosen; published ones have no sizes to choose.

use serde::{Deserialize, Serialize};

/// A demand on a setting: its name, whether it is met, and what it is.
pub(super) type Demand = (&'static str, bool, &'static str);

/// Sizes of `se-resnet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeResNet {
    /// Channels of its stages; each halves the bands, and all but the first the frames.
    pub channels: Vec<i64>,
    /// Blocks of its stages.
    pub blocks: Vec<usize>,
    /// Units of the attention over time.
    pub attention: i64,
    /// Features that it makes.
    pub width: i64,
}

/// Sizes of `ecapa`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ecapa {
    /// Channels of its convolutions.
    pub channels: i64,
    /// For each of its blocks, how many frames apart it listens.
    pub dilations: Vec<i64>,
    /// Groups of channels within a block.
    pub groups: i64,
    /// Units of the attention over time.
    pub attention: i64,
    /// Features that it makes.
    pub width: i64,
}

impl Default for SeResNet {
    fn default() -> Self {
        Self { channels: vec![16, 32, 64, 128], blocks: vec![2; 4], attention: 64, width: 128 }
    }
}

impl Default for Ecapa {
    fn default() -> Self {
        Self { channels: 256, dilations: vec![2, 3, 4], groups: 8, attention: 64, width: 128 }
    }
}

impl SeResNet {
    pub(super) fn demands(&self) -> [Demand; 4] {
        let Self { channels, blocks, attention, width } = self;
        [
            (
                "se_resnet.channels",
                (1..=7).contains(&channels.len()) && channels.iter().all(|&n| n >= 1),
                "1 to 7 stages, each of at least 1 channel",
            ),
            (
                "se_resnet.blocks",
                blocks.len() == channels.len() && blocks.iter().all(|&n| n >= 1),
                "a number for each of se_resnet.channels, at least 1",
            ),
            ("se_resnet.attention", *attention >= 1, "at least 1"),
            ("se_resnet.width", *width >= 1, "at least 1"),
        ]
    }
}

impl Ecapa {
    pub(super) fn demands(&self) -> [Demand; 5] {
        let Self { channels, dilations, groups, attention, width } = self;
        [
            ("ecapa.groups", *groups >= 2, "at least 2"),
            (
                "ecapa.channels",
                *channels >= 4 && channels % groups.max(&1) == 0,
                "at least 4, and a multiple of ecapa.groups",
            ),
            (
                "ecapa.dilations",
                !dilations.is_empty() && dilations.iter().all(|&n| n >= 1),
                "one block or more, each of at least 1",
            ),
            ("ecapa.attention", *attention >= 1, "at least 1"),
            ("ecapa.width", *width >= 1, "at least 1"),
        ]
    }
}
