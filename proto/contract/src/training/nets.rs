//! What of the compact networks can be chosen; published ones have no sizes to choose.

use serde::{Deserialize, Serialize};

/// A demand on a setting: its name, whether it is met, and what it is.
pub(super) type Demand = (&'static str, bool, &'static str);

/// Whether a layer may be so wide: more is a slip of who wrote it, and fits no machine.
pub(super) fn is_width(n: i64) -> bool {
    (1..=65_536).contains(&n)
}

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
                (1..=7).contains(&channels.len()) && channels.iter().all(|&n| is_width(n)),
                "1 to 7 stages, each of 1 to 65536 channels",
            ),
            (
                "se_resnet.blocks",
                blocks.len() == channels.len() && blocks.iter().all(|n| (1..=1000).contains(n)),
                "a number for each of se_resnet.channels, 1 to 1000",
            ),
            ("se_resnet.attention", is_width(*attention), "1 to 65536"),
            ("se_resnet.width", is_width(*width), "1 to 65536"),
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
                *channels >= 4 && is_width(*channels) && channels % groups.max(&1) == 0,
                "4 to 65536, and a multiple of ecapa.groups",
            ),
            (
                "ecapa.dilations",
                !dilations.is_empty() && dilations.iter().all(|n| (1..=4096).contains(n)),
                "one block or more, each of 1 to 4096",
            ),
            ("ecapa.attention", is_width(*attention), "1 to 65536"),
            ("ecapa.width", is_width(*width), "1 to 65536"),
        ]
    }
}
