//! Everything that a training depends on besides its data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::augment::Augment;
use super::choices::{Architecture, Device, Image, Loss, Scaling, Schedule, Target};
use super::nets::{Demand, Ecapa, SeResNet, is_width};

/// Everything that a training depends on besides its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// What learns.
    pub architecture: Architecture,
    /// Channels of the convolutions of `seed-cnn-mlp`; each halves the image.
    pub channels: Vec<i64>,
    /// Units that its flattened image is brought down to.
    pub image_units: i64,
    /// Sizes of `se-resnet`.
    pub se_resnet: SeResNet,
    /// Sizes of `ecapa`.
    pub ecapa: Ecapa,
    /// A published checkpoint that the network over the image starts from: its key in the
    /// store; for people, its file. Empty for none.
    pub pretrained: String,
    /// Share of samples for which the last residual block is left out in training, from 0 to
    /// below 1; less for those before it, down to 0 for the first.
    pub drop_path: f64,
    /// Units of the layers over the table.
    pub table_units: Vec<i64>,
    /// Units of the layer over the embedding, where there is one and the network is another
    /// than `seed-cnn-mlp`; 0 if it is not to be looked at.
    pub embedding_units: i64,
    /// Units of the layer before the age.
    pub head_units: i64,
    /// Share of units that are left out at random in training, 0 to 1.
    pub dropout: f64,
    /// How the image is made.
    pub image: Image,
    /// Frames of an image, each 23 ms.
    pub frames: usize,
    /// With random crops, the windows that a prediction is the mean of: as many as a recording
    /// has, spread evenly, at most so many; 1 for the middle alone.
    pub windows: usize,
    /// How inputs are scaled.
    pub scaling: Scaling,
    /// Passes over the training split, at most.
    pub epochs: u64,
    /// Epochs without a better validation RMSE before the training stops.
    pub patience: u64,
    /// Recordings of one step.
    pub batch_size: usize,
    /// Step size of AdamW.
    pub learning_rate: f64,
    /// How it goes on.
    pub schedule: Schedule,
    /// Steps in which the step size rises to what it is then.
    pub warmup_steps: u64,
    /// Decay of the running mean of the weights, from 0 (none) to below 1: where there is
    /// one, it is what is measured and kept.
    pub ema: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// How batches are changed.
    pub augment: Augment,
    /// Fixes initial weights, order, crops and changes.
    pub seed: u64,
    /// Share of the speakers that stop the training, 0 to 1.
    pub validation_share: f64,
    /// Which share that is: 0 for the first, each turn moves it on by itself, and around.
    pub validation_turn: u64,
    /// Share of the speakers that measure the model, 0 to 1.
    pub test_share: f64,
    /// What is learned of an age.
    pub target: Target,
    /// What the training goes down.
    pub loss: Loss,
    /// The error, in units of what is learned, from which on Huber's loss is linear.
    pub huber_delta: f64,
    /// Label distribution smoothing (Yang et al. 2021): ages count by the inverse root of how
    /// common they are, smoothed by a Gaussian of this deviation in years; 0 for no weights.
    pub lds_years: f64,
    /// Training recordings that a process knows by themselves; of more, these are drawn, and
    /// the others are projected on them.
    pub points: usize,
    /// The share of ages that prediction intervals hold.
    pub coverage: f64,
    /// Where it computes.
    pub device: Device,
    /// Threads of a step.
    pub threads: usize,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            architecture: Architecture::Gp,
            channels: vec![32, 64, 128],
            image_units: 128,
            se_resnet: SeResNet::default(),
            ecapa: Ecapa::default(),
            pretrained: String::new(),
            drop_path: 0.0,
            table_units: vec![64, 32],
            embedding_units: 64,
            head_units: 64,
            dropout: 0.5,
            image: Image::Resize,
            frames: 128,
            windows: 1,
            scaling: Scaling::MinMax,
            epochs: 40,
            patience: 12,
            batch_size: 32,
            learning_rate: 3e-4,
            schedule: Schedule::Cosine,
            warmup_steps: 0,
            ema: 0.0,
            weight_decay: 1e-4,
            augment: Augment::default(),
            seed: 1,
            validation_share: 0.15,
            validation_turn: 0,
            test_share: 0.15,
            target: Target::SqrtAge,
            loss: Loss::Mse,
            huber_delta: 1.0,
            lds_years: 0.0,
            points: 2048,
            coverage: 0.9,
            device: Device::Auto,
            threads: 2,
        }
    }
}

impl TrainSettings {
    /// Whether a training can be made of these settings.
    ///
    /// # Errors
    /// The first that cannot be, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        let above_0 = |x: f64| x > 0.0 && x.is_finite();
        let widths = |units: &[i64]| !units.is_empty() && units.iter().all(|&n| is_width(n));
        let demands: [Demand; 26] = [
            ("epochs", self.epochs >= 1, "at least 1"),
            ("patience", self.patience >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("threads", (1..=1024).contains(&self.threads), "1 to 1024"),
            ("learning_rate", above_0(self.learning_rate), "more than 0, and finite"),
            (
                "weight_decay",
                self.weight_decay >= 0.0 && self.weight_decay * self.learning_rate < 1.0,
                "at least 0, and less than 1 / learning_rate",
            ),
            ("dropout", share(self.dropout), "from 0 to below 1"),
            ("drop_path", share(self.drop_path), "from 0 to below 1"),
            ("ema", share(self.ema), "from 0 to below 1"),
            ("huber_delta", above_0(self.huber_delta), "more than 0, and finite"),
            ("lds_years", (0.0..=50.0).contains(&self.lds_years), "0 to 50"),
            (
                "target",
                !self.loss.is_over_years() || self.target == Target::Age,
                "age for the losses mean_variance and ordinal, which are over years",
            ),
            ("frames", (128..=4096).contains(&self.frames), "128 to 4096"),
            ("windows", (1..=256).contains(&self.windows), "1 to 256"),
            ("coverage", share(self.coverage), "from 0 to below 1"),
            ("points", (2..=20_000).contains(&self.points), "2 to 20000"),
            ("validation_share", share(self.validation_share), "from 0 to below 1"),
            ("validation_turn", self.validation_turn <= 1000, "0 to 1000"),
            ("test_share", share(self.test_share), "from 0 to below 1"),
            (
                "test_share",
                share(self.test_share + self.validation_share),
                "less than 1 together with validation_share",
            ),
            (
                "pretrained",
                self.pretrained.is_empty() || self.architecture.is_published(),
                "empty for this architecture: only efficientnet-b0 to -b3, se-resnext50 and nfnet-f0 have checkpoints",
            ),
            ("image_units", is_width(self.image_units), "1 to 65536"),
            ("head_units", is_width(self.head_units), "1 to 65536"),
            (
                "embedding_units",
                self.embedding_units == 0 || is_width(self.embedding_units),
                "0 to 65536",
            ),
            ("table_units", widths(&self.table_units), "one layer or more, each of 1 to 65536"),
            (
                "channels",
                widths(&self.channels) && self.channels.len() <= 7,
                "1 to 7 convolutions, each of 1 to 65536 channels",
            ),
        ];
        let nets = self.se_resnet.demands().into_iter().chain(self.ecapa.demands());
        let more = nets.chain(self.augment.demands(self.frames));
        match demands.into_iter().chain(more).find(|(_, kept, _)| !kept) {
            Some((name, _, demand)) => Err(format!("train.{name} must be {demand}")),
            None => Ok(()),
        }
    }

    /// What is not as by default: names, with dots, and values, in the order of the names.
    #[must_use]
    pub fn changed(&self) -> Vec<(String, Value)> {
        let tree = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        let mut changed = Vec::new();
        differences(&tree(&Self::default()), &tree(self), "", &mut changed);
        changed.sort_by(|a, b| a.0.cmp(&b.0));
        changed
    }

    /// Those of the ridge that whatever is trained so is measured against: it learns from the
    /// same recordings.
    #[must_use]
    pub fn ridge_beside(&self) -> Self {
        Self {
            architecture: Architecture::Ridge,
            validation_share: self.validation_share,
            validation_turn: self.validation_turn,
            threads: self.threads,
            ..Self::default()
        }
    }

    /// Settings that are not as by default although nothing depends on them, in words.
    #[must_use]
    pub fn without_effect(&self) -> Option<String> {
        let idle = self.changed().into_iter().filter(|(name, _)| !self.depends_on(name));
        let names: Vec<_> = idle.map(|(name, _)| format!("train.{name}")).collect();
        let architecture = self.architecture.name();
        (!names.is_empty())
            .then(|| format!("{}: without effect on {architecture} as it is set", names.join(", ")))
    }

    fn depends_on(&self, name: &str) -> bool {
        let seed = self.architecture == Architecture::SeedCnnMlp;
        match name.split('.').next().unwrap_or_default() {
            "architecture" | "target" | "seed" | "validation_share" | "validation_turn"
            | "test_share" | "coverage" | "threads" => true,
            "points" => self.architecture.is_process(),
            _ if !self.architecture.is_network() => false,
            "channels" | "image_units" => seed,
            "se_resnet" => self.architecture == Architecture::SeResNet,
            "ecapa" => self.architecture == Architecture::Ecapa,
            "embedding_units" => !seed,
            "drop_path" => !seed && self.architecture != Architecture::Ecapa,
            "windows" => self.image == Image::RandomCrop,
            "huber_delta" => self.loss == Loss::Huber,
            _ => true,
        }
    }
}

/// The leaves of a JSON document that another has otherwise, by dotted name.
fn differences(default: &Value, value: &Value, name: &str, all: &mut Vec<(String, Value)>) {
    match (default, value) {
        (Value::Object(default), Value::Object(fields)) => {
            for (field, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                let name = format!("{name}{dot}{field}");
                differences(default.get(field).unwrap_or(&Value::Null), value, &name, all);
            }
        }
        _ if default == value => {}
        _ => all.push((name.to_owned(), value.clone())),
    }
}
