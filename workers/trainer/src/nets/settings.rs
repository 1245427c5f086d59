//! Which network, and what of it can be chosen.
//!
//! Always holds: published architectures have no sizes to choose.

use serde::{Deserialize, Serialize};

/// Networks over images by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Net {
    /// timm's `efficientnet_b0`: 4.0 million weights.
    #[serde(rename = "efficientnet-b0")]
    EfficientNetB0,
    /// timm's `efficientnet_b1`: 6.5 million weights.
    #[serde(rename = "efficientnet-b1")]
    EfficientNetB1,
    /// timm's `efficientnet_b2`: 7.7 million weights.
    #[serde(rename = "efficientnet-b2")]
    EfficientNetB2,
    /// timm's `efficientnet_b3`: 10.7 million weights.
    #[serde(rename = "efficientnet-b3")]
    EfficientNetB3,
    /// timm's `seresnext50_32x4d`: 25.5 million weights.
    #[serde(rename = "se-resnext50")]
    SeResNext50,
    /// timm's `dm_nfnet_f0`: 68.4 million weights.
    #[serde(rename = "nfnet-f0")]
    NfNetF0,
    /// A compact residual network.
    #[serde(rename = "se-resnet")]
    SeResNet,
    /// A compact network of convolutions over time.
    #[serde(rename = "ecapa")]
    Ecapa,
}

impl Net {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::EfficientNetB0,
        Self::EfficientNetB1,
        Self::EfficientNetB2,
        Self::EfficientNetB3,
        Self::SeResNext50,
        Self::NfNetF0,
        Self::SeResNet,
        Self::Ecapa,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EfficientNetB0 => "efficientnet-b0",
            Self::EfficientNetB1 => "efficientnet-b1",
            Self::EfficientNetB2 => "efficientnet-b2",
            Self::EfficientNetB3 => "efficientnet-b3",
            Self::SeResNext50 => "se-resnext50",
            Self::NfNetF0 => "nfnet-f0",
            Self::SeResNet => "se-resnet",
            Self::Ecapa => "ecapa",
        }
    }
}

/// What of a network can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetSettings {
    /// Share of samples for which the last residual block is left out in training, from 0 to
    /// below 1; less for those before it, down to 0 for the first.
    pub drop_path: f64,
    /// Share of the compact networks' pooled statistics left out at random in training, from
    /// 0 to below 1.
    pub dropout: f64,
    /// Sizes of `se-resnet`.
    pub se_resnet: SeResNet,
    /// Sizes of `ecapa`.
    pub ecapa: Ecapa,
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

impl Default for NetSettings {
    fn default() -> Self {
        let (se_resnet, ecapa) = (SeResNet::default(), Ecapa::default());
        Self { drop_path: 0.0, dropout: 0.0, se_resnet, ecapa }
    }
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

impl NetSettings {
    /// Whether networks can be made of these settings.
    ///
    /// # Errors
    /// The first that cannot be, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let (residual, ecapa) = (&self.se_resnet, &self.ecapa);
        let share = |share: f64| (0.0..1.0).contains(&share);
        let stages = 1..=7;
        let demands = [
            ("drop_path", share(self.drop_path), "from 0 to below 1"),
            ("dropout", share(self.dropout), "from 0 to below 1"),
            (
                "se_resnet.channels",
                stages.contains(&residual.channels.len())
                    && residual.channels.iter().all(|&n| n >= 1),
                "1 to 7 stages, each of at least 1 channel",
            ),
            (
                "se_resnet.blocks",
                residual.blocks.len() == residual.channels.len()
                    && residual.blocks.iter().all(|&n| n >= 1),
                "a number for each of se_resnet.channels, at least 1",
            ),
            ("se_resnet.attention", residual.attention >= 1, "at least 1"),
            ("se_resnet.width", residual.width >= 1, "at least 1"),
            ("ecapa.groups", ecapa.groups >= 1, "at least 1"),
            (
                "ecapa.channels",
                ecapa.channels >= 4 && ecapa.channels % ecapa.groups.max(1) == 0,
                "at least 4, and a multiple of ecapa.groups",
            ),
            (
                "ecapa.dilations",
                !ecapa.dilations.is_empty() && ecapa.dilations.iter().all(|&n| n >= 1),
                "one block or more, each of at least 1",
            ),
            ("ecapa.attention", ecapa.attention >= 1, "at least 1"),
            ("ecapa.width", ecapa.width >= 1, "at least 1"),
        ];
        match demands.into_iter().find(|(_, kept, _)| !kept) {
            Some((name, _, demand)) => Err(format!("{name} must be {demand}")),
            None => Ok(()),
        }
    }
}
