//! A training's batches, where the network is: streamed, or kept there if they fit.
//!
//! Always holds: both give the same batches, bit by bit.

use std::collections::VecDeque;
use std::sync::Arc;

use tch::Tensor;
use voxage_contract::training::{Image, Target, TrainSettings, Upkeep};
use voxage_contract::{MelStorage, N_MELS, Split};
use voxage_dataset::{Batches, Columns, Dataset, Order, Pass, Place, Rng, Sample, Samples};

use crate::Result;
use crate::cells::{Cells, HostCells};
use crate::copies::Copies;
use crate::device::{bring, pinned};
use crate::inputs::{Batch, Example, Inputs, Tensors};

/// Samples that are read at a time when all are to be kept.
const ROWS: usize = 256;

/// One batch.
#[derive(Debug)]
pub struct Fed {
    /// What the network takes.
    pub inputs: Tensors,
    /// What is learned of the ages, `[n]`.
    pub targets: Tensor,
}

impl Fed {
    /// All that it consists of.
    pub fn tensors(&self) -> [&Tensor; 4] {
        let Tensors { images, valid, tables } = &self.inputs;
        [images, valid, tables, &self.targets]
    }

    /// The same batch in another place.
    #[must_use]
    pub fn copy(&self) -> Self {
        let [images, valid, tables, targets] = self.tensors().map(Tensor::copy);
        Self { inputs: Tensors { images, valid, tables }, targets }
    }

    /// Takes over what a batch of the same size contains.
    pub fn take(&self, other: &Self) {
        for (to, from) in self.tensors().into_iter().zip(other.tensors()) {
            to.shallow_clone().copy_(from);
        }
    }
}

/// Where batches come from.
#[derive(Debug)]
pub struct Feed {
    dataset: Dataset,
    inputs: Arc<Inputs>,
    settings: TrainSettings,
    loader_threads: usize,
    resident: Option<Resident>,
    copies: Copies,
}

/// The whole training split where the network is.
#[derive(Debug)]
struct Resident {
    pixels: Pixels,
    tables: Tensor,
    targets: Tensor,
    frames: Vec<usize>,
    /// For each shard, the position of its first sample.
    firsts: Vec<usize>,
}

#[derive(Debug)]
enum Pixels {
    /// Windows are cut of them.
    Cells(Cells),
    /// Each recording's only image, `[n, 1, frames, 128]`.
    Images(Tensor),
}

/// Batches of one epoch after another, to the settings' last.
///
/// Of streamed ones the next epoch is begun as soon as the loader's threads have none of this
/// one left to make, so that nobody waits for its first: two passes are in memory then.
pub struct Epochs<'a> {
    feed: &'a Feed,
    /// The last that was begun.
    epoch: u64,
    begun: VecDeque<Begun<'a>>,
}

enum Begun<'a> {
    Streamed(Batches<(Host, Tensor)>),
    Resident(Box<dyn Iterator<Item = Fed> + 'a>),
}

/// What the loader's threads make.
#[derive(Debug)]
enum Host {
    Scaled(Batch),
    /// A quarter of the bytes to bring to the device.
    Stored {
        cells: [Tensor; 5],
        tables: Tensor,
    },
}

impl Feed {
    /// The training split of a data set. It is kept where the network is if its spectrograms
    /// take at most `resident_mib` MiB there.
    ///
    /// # Errors
    /// If reading fails.
    pub fn new(
        dataset: &Dataset,
        inputs: &Arc<Inputs>,
        settings: &TrainSettings,
        upkeep: &Upkeep,
    ) -> Result<Self> {
        let mut feed = Self {
            dataset: dataset.clone(),
            inputs: Arc::clone(inputs),
            settings: settings.clone(),
            loader_threads: upkeep.loader_threads,
            resident: None,
            copies: Copies::to(inputs.device)?,
        };
        if feed.bytes(upkeep.resident_mib << 20)?.is_some() {
            feed.resident = Some(feed.gather()?);
        }
        Ok(feed)
    }

    /// What the split would take where the network is; none if that is more than `limit`.
    fn bytes(&self, limit: u64) -> Result<Option<u64>> {
        let image_bytes = (self.inputs.framing.cells() * size_of::<f32>()) as u64;
        let mut bytes = 0;
        if self.settings.image == Image::Resize {
            bytes = self.dataset.len(Split::Train) * image_bytes;
        } else if self.stores_bytes() {
            let frames = |_, samples: &mut Samples<'_>| -> u64 {
                samples.map(|sample| sample.mel().n_frames as u64).sum()
            };
            let pass = Pass { columns: Columns::Table, ..self.stored_pass() };
            for frames in self.dataset.batches(pass, ROWS, self.loader_threads, frames) {
                bytes += frames? * N_MELS as u64;
                if bytes > limit {
                    break;
                }
            }
        } else {
            return Ok(None);
        }
        Ok(Some(bytes).filter(|bytes| *bytes <= limit))
    }

    fn stores_bytes(&self) -> bool {
        self.dataset.manifest().spec.mel.storage == MelStorage::U8
    }

    fn stored_pass(&self) -> Pass {
        Pass { split: Split::Train, order: Order::Stored, columns: Columns::All, start: 0 }
    }

    /// Brings the whole split to where the network is.
    fn gather(&self) -> Result<Resident> {
        let device = self.inputs.device;
        let (inputs, resize) = (Arc::clone(&self.inputs), self.settings.image == Image::Resize);
        let target = self.settings.target;
        let read = move |_, samples: &mut Samples<'_>| {
            let (mut batch, mut cells) = (None, HostCells::default());
            if resize {
                batch = Some(inputs.batch(samples.len()));
            }
            let (mut tables, mut targets, mut frames) = (Vec::new(), Vec::new(), Vec::new());
            for sample in samples {
                let example = Example::from(&sample);
                match &mut batch {
                    Some(batch) => inputs.push(batch, &example, None),
                    None => {
                        cells.push(example.mel, 0..example.mel.n_frames, &inputs.scaler);
                        tables.extend(inputs.scaler.table(&example));
                    }
                }
                targets.push(learned(&sample, target));
                frames.push(example.mel.n_frames);
            }
            (batch, cells, tables, targets, frames)
        };
        let pass = self.stored_pass();
        let (mut images, mut cells, mut tables) = (Vec::new(), HostCells::default(), Vec::new());
        let (mut targets, mut frames) = (Vec::new(), Vec::new());
        for read in self.dataset.batches(pass, ROWS, self.loader_threads, read) {
            let (batch, more, rows, ages, lengths) = read?;
            if let Some(batch) = batch {
                let tensors = batch.tensors(device);
                images.push(tensors.images);
                tables.push(tensors.tables);
            } else {
                cells.append(more);
                let n = ages.len() as i64;
                tables.push(bring(&Tensor::from_slice(&rows).view([n, -1]), device));
            }
            targets.extend(ages);
            frames.extend(lengths);
        }
        let pixels = if resize {
            Pixels::Images(Tensor::cat(&images, 0))
        } else {
            let cells = cells.tensors().map(|tensor| bring(&tensor, device));
            Pixels::Cells(Cells::of(cells, &self.inputs.scaler))
        };
        let mut firsts = vec![0; self.dataset.manifest().shards.len()];
        for (position, Place { shard, row }) in
            self.dataset.order(Split::Train, Order::Stored).enumerate()
        {
            firsts[shard] = position - row;
        }
        let targets = bring(&Tensor::from_slice(&targets), device);
        Ok(Resident { pixels, tables: Tensor::cat(&tables, 0), targets, frames, firsts })
    }

    /// All batches from a sample of an epoch on.
    #[must_use]
    pub fn epochs(&self, epoch: u64, start: u64) -> Epochs<'_> {
        Epochs { feed: self, epoch, begun: [self.begin(epoch, start)].into() }
    }

    fn begin(&self, epoch: u64, start: u64) -> Begun<'_> {
        let order = Order::Shuffled { seed: self.settings.seed, epoch };
        match &self.resident {
            Some(resident) => Begun::Resident(Box::new(self.cut(resident, order, epoch, start))),
            None => Begun::Streamed(self.read(order, epoch, start)),
        }
    }

    fn read(&self, order: Order, epoch: u64, start: u64) -> Batches<(Host, Tensor)> {
        let (inputs, seed) = (Arc::clone(&self.inputs), self.settings.seed);
        let (device, target, framing) = (inputs.device, self.settings.target, inputs.framing);
        let stored = device.is_cuda() && framing.how != Image::Resize && self.stores_bytes();
        let assemble = move |first: u64, samples: &mut Samples<'_>| {
            let (mut batch, mut cells) = (inputs.batch(samples.len()), HostCells::default());
            let (mut tables, mut targets) = (Vec::new(), Vec::with_capacity(samples.len()));
            for (position, sample) in (first..).zip(samples) {
                let example = Example::from(&sample);
                let mut draw = crop(seed, epoch, position);
                if stored {
                    let n = example.mel.n_frames;
                    let start = framing.start(n, Some(&mut draw)).unwrap_or(0);
                    cells.push(example.mel, start..n.min(start + framing.frames), &inputs.scaler);
                    tables.extend(inputs.scaler.table(&example));
                } else {
                    inputs.push(&mut batch, &example, Some(&mut draw));
                }
                targets.push(learned(&sample, target));
            }
            let pin = |tensor: Tensor| pinned(&tensor, device);
            let host = if stored {
                let tables = Tensor::from_slice(&tables).view([targets.len() as i64, -1]);
                Host::Stored { cells: cells.tensors().map(pin), tables: pin(tables) }
            } else {
                Host::Scaled(batch)
            };
            (host, pin(Tensor::from_slice(&targets)))
        };
        let pass = Pass { order, start, ..self.stored_pass() };
        self.dataset.batches(pass, self.settings.batch_size, self.loader_threads, assemble)
    }

    /// Brings what the loader's threads made to where the network is.
    fn fed(&self, (host, targets): (Host, Tensor)) -> Result<Fed> {
        match host {
            Host::Stored { cells: [a, b, c, d, e], tables } => {
                let [a, b, c, d, e, tables, targets] =
                    self.copies.bring([&a, &b, &c, &d, &e, &tables, &targets])?;
                let n = targets.size()[0];
                let which: Vec<i64> = (0..n).collect();
                let cells = Cells::of([a, b, c, d, e], &self.inputs.scaler);
                let (images, valid) =
                    cells.images(&which, &vec![0; n as usize], self.inputs.framing.frames);
                Ok(Fed { inputs: Tensors { images, valid, tables }, targets })
            }
            Host::Scaled(batch) => {
                let [targets] = self.copies.bring([&targets])?;
                Ok(Fed { inputs: batch.tensors(self.inputs.device), targets })
            }
        }
    }

    fn cut<'a>(
        &'a self,
        resident: &'a Resident,
        order: Order,
        epoch: u64,
        start: u64,
    ) -> impl Iterator<Item = Fed> + 'a {
        let places = self.dataset.order(Split::Train, order);
        let places = places.zip(0_u64..).skip(start as usize);
        let mut positions =
            places.map(|(place, position)| (resident.firsts[place.shard] + place.row, position));
        let framing = self.inputs.framing;
        std::iter::from_fn(move || {
            let batch: Vec<_> = positions.by_ref().take(self.settings.batch_size).collect();
            if batch.is_empty() {
                return None;
            }
            let which: Vec<i64> = batch.iter().map(|(sample, _)| *sample as i64).collect();
            let index = bring(&Tensor::from_slice(&which), self.inputs.device);
            let (images, valid) = match &resident.pixels {
                Pixels::Images(images) => {
                    let all = Tensor::full_like(&index, framing.frames as i64);
                    (images.index_select(0, &index), all)
                }
                Pixels::Cells(cells) => {
                    let start = |(sample, position): &(usize, u64)| {
                        let mut draw = crop(self.settings.seed, epoch, *position);
                        let start = framing.start(resident.frames[*sample], Some(&mut draw));
                        start.unwrap_or(0) as i64
                    };
                    let starts: Vec<_> = batch.iter().map(start).collect();
                    cells.images(&which, &starts, framing.frames)
                }
            };
            let tables = resident.tables.index_select(0, &index);
            let targets = resident.targets.index_select(0, &index);
            Some(Fed { inputs: Tensors { images, valid, tables }, targets })
        })
    }
}

impl Iterator for Epochs<'_> {
    type Item = Result<Fed>;

    fn next(&mut self) -> Option<Result<Fed>> {
        loop {
            let (batch, all_begun) = match self.begun.front_mut()? {
                Begun::Streamed(batches) => {
                    let batch = batches.next().map(|made| self.feed.fed(made?));
                    (batch, batches.all_begun())
                }
                Begun::Resident(batches) => {
                    let batch = batches.next().map(Ok);
                    let ended = batch.is_none();
                    (batch, ended)
                }
            };
            if all_begun && self.begun.len() == 1 && self.epoch < self.feed.settings.epochs {
                self.epoch += 1;
                self.begun.push_back(self.feed.begin(self.epoch, 0));
            }
            if batch.is_some() {
                return batch;
            }
            self.begun.pop_front();
        }
    }
}

/// Draws the place of a sample's random crop: each has its own, wherever a pass begins.
fn crop(seed: u64, epoch: u64, position: u64) -> Rng {
    Rng::new(&[seed, epoch, 0xC40B, position])
}

/// What is learned of a sample.
fn learned(sample: &Sample, target: Target) -> f32 {
    target.of_age(sample.age_years().unwrap_or_default()) as f32
}
