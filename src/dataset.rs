//! `voxage dataset order`: in which order a training reads a data set, and how well that
//! order is shuffled.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Arg, ArgAction, Command, value_parser};
use serde::Serialize;
use tokio::runtime::Handle;
use voxage_contract::{Name, Split};
use voxage_dataset::{Columns, Dataset, Order, Pass, SplitRule};
use voxage_transport::Store;

use crate::output::Output;
use crate::settings::{Keys, Settings};
use crate::{Call, train};

pub const KEYS: Keys = &[
    "root",
    "s3",
    "dataset",
    "train.seed",
    "train.validation_share",
    "train.validation_turn",
    "train.test_share",
];

/// Samples whose ids are read at a time.
const BATCH: usize = 256;

pub fn command() -> Command {
    Command::new("dataset")
        .about("Show in which order a training reads the newest sealed version of a data set")
        .after_help(
            "Correlations are 0 for an order that keeps nothing of the order of storage, 1 for that \
             order itself. That of neighbours is about 1 / (shards in a block).",
        )
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .value_parser(["order"])
                .help("order"),
        )
        .arg(
            Arg::new("epoch")
                .long("epoch")
                .value_name("N")
                .default_value("1")
                .value_parser(value_parser!(u64).range(1..))
                .help("Which pass over the data, from 1"),
        )
        .arg(
            Arg::new("split")
                .long("split")
                .value_name("SPLIT")
                .default_value("train")
                .value_parser(|text: &str| {
                    Split::parse(text).ok_or_else(|| "it is train, validation or test".to_owned())
                })
                .help("train, validation or test"),
        )
        .arg(
            Arg::new("ids")
                .long("ids")
                .action(ArgAction::SetTrue)
                .help("Also every sample: its id and its shard, a line each"),
        )
}

#[derive(Serialize)]
struct Answer {
    dataset: Name,
    manifest: String,
    split: &'static str,
    seed: u64,
    epoch: u64,
    samples: u64,
    correlation: Correlation,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<Sample>>,
}

/// How much the order keeps of the order of storage; none of fewer than two samples.
#[derive(Serialize)]
struct Correlation {
    storage: Option<f64>,
    neighbours: Option<f64>,
}

#[derive(Serialize)]
struct Sample {
    id: String,
    shard: String,
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = call.resolved.settings.clone();
    let store = settings.existing_store().await?;
    let manifest = train::newest(&*store, &settings).await?;
    let epoch = *call.matches.get_one::<u64>("epoch").context("no epoch")?;
    let split = *call.matches.get_one::<Split>("split").context("no split")?;
    let (ids, output, runtime) = (call.matches.get_flag("ids"), call.output, Handle::current());
    let show = move || show(store, &runtime, &settings, manifest, (split, epoch), ids, output);
    tokio::task::spawn_blocking(show).await??;
    Ok(ExitCode::SUCCESS)
}

/// Opens the data set and answers. Blocks.
fn show(
    store: Arc<dyn Store>,
    runtime: &Handle,
    settings: &Settings,
    manifest: String,
    (split, epoch): (Split, u64),
    ids: bool,
    output: Output,
) -> Result<()> {
    let train = &settings.train;
    let rule = SplitRule::of(train, None);
    let dataset = Dataset::open(store, runtime, &manifest, rule, None)?;
    let order = Order::Shuffled { seed: train.seed, epoch };
    let quality = dataset.quality(split, order);
    let number = |value: f64| Some(value).filter(|value| value.is_finite());
    let order = ids.then(|| samples(&dataset, split, order)).transpose()?;
    let answer = Answer {
        dataset: dataset.manifest().dataset.clone(),
        manifest,
        split: split.text().unwrap_or_default(),
        seed: train.seed,
        epoch,
        samples: quality.samples,
        correlation: Correlation {
            storage: number(quality.storage),
            neighbours: number(quality.neighbours),
        },
        order,
    };
    output.answer(&answer, || text(&answer))
}

/// All samples in their order.
fn samples(dataset: &Dataset, split: Split, order: Order) -> Result<Vec<Sample>> {
    let pass = Pass { split, order, columns: Columns::Table, start: 0 };
    let ids = dataset.batches(pass, BATCH, 1, |_, samples| {
        samples.map(|sample| sample.id().to_owned()).collect::<Vec<_>>()
    });
    let mut places = dataset.order(split, order);
    let mut all = Vec::new();
    for batch in ids {
        let named = batch?.into_iter().zip(&mut places).map(|(id, place)| {
            let shard = dataset.manifest().shards[place.shard].id.to_string();
            Sample { id, shard }
        });
        all.extend(named);
    }
    Ok(all)
}

fn text(answer: &Answer) -> String {
    let Answer { dataset, split, seed, epoch, samples, .. } = answer;
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    let mut text = format!(
        "{dataset}, {split}: {samples} samples, seed {seed}, epoch {epoch}\n\
         rank correlation with the order of storage {}, of neighbours {}\n",
        number(answer.correlation.storage),
        number(answer.correlation.neighbours),
    );
    for Sample { id, shard } in answer.order.iter().flatten() {
        text += &format!("{id}\t{shard}\n");
    }
    text
}
