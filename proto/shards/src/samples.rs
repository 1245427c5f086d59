//! What a training needs of a shard's rows, column by column.
//!
//! Always holds: nothing is copied out of the columns; a spectrogram is unpacked once.

use std::sync::Arc;

use arrow::array::{
    Array as _, AsArray as _, FixedSizeListArray, Float32Array, Float64Array, RecordBatch,
    StringArray, UInt32Array,
};
use arrow::datatypes::Float32Type;
use bytes::{Bytes, BytesMut};
use voxage_contract::{FeatureSpec, Gender, MelStorage, MelView, N_MELS, Recording, Split};

use crate::decode::{Shard, column, metadata, text};
use crate::mels::Mels;
use crate::{Error, Result};

/// The columns of all rows of a shard, but for the spectrograms.
#[derive(Debug)]
pub struct SampleTable {
    id: StringArray,
    status: StringArray,
    age_years: Float64Array,
    gender: StringArray,
    speaker: StringArray,
    split: StringArray,
    /// What was submitted in the column that was asked for; empty if none was.
    values: Vec<String>,
    tabular: Vec<Float64Array>,
    embedding: Option<FixedSizeListArray>,
    n_frames: UInt32Array,
    mel_scale: Float32Array,
    mel_offset: Float32Array,
    storage: MelStorage,
}

/// The columns that [`SampleTable`] has of any spec.
const FIXED: [&str; 9] = [
    "id",
    "status",
    "age_years",
    "gender",
    "speaker",
    "split",
    "n_frames",
    "mel_scale",
    "mel_offset",
];

impl SampleTable {
    pub(crate) fn read(shard: &Shard, asked: Option<&str>) -> Result<Self> {
        let spec = &shard.footer().spec;
        let n_rows = shard.metadata.metadata().file_metadata().num_rows();
        let n_rows = usize::try_from(n_rows).unwrap_or(0).max(1);
        let mut batches = shard.read(n_rows, |column| {
            let name = column.path().parts().first().map_or("", String::as_str);
            FIXED.contains(&name)
                || name == "embedding"
                || (name == "metadata" && asked.is_some())
                || spec.columns().any(|column| column.name == name)
        })?;
        let batch = batches.next().transpose()?;
        let batch = batch.ok_or_else(|| Error::NotAShard("it has no rows".into()))?;
        let mut table = Self::of(&batch, spec)?;
        if let Some(asked) = asked {
            table.values = values(&batch, asked)?;
        }
        Ok(table)
    }

    fn of(batch: &RecordBatch, spec: &FeatureSpec) -> Result<Self> {
        Ok(Self {
            values: Vec::new(),
            id: column(batch, "id").cloned()?,
            status: column(batch, "status").cloned()?,
            age_years: column(batch, "age_years").cloned()?,
            gender: column(batch, "gender").cloned()?,
            speaker: column(batch, "speaker").cloned()?,
            split: column(batch, "split").cloned()?,
            tabular: spec
                .columns()
                .map(|c| column(batch, c.name).cloned())
                .collect::<Result<_>>()?,
            embedding: batch
                .column_by_name("embedding")
                .and_then(|column| column.as_fixed_size_list_opt().cloned()),
            n_frames: column(batch, "n_frames").cloned()?,
            mel_scale: column(batch, "mel_scale").cloned()?,
            mel_offset: column(batch, "mel_offset").cloned()?,
            storage: spec.mel.storage,
        })
    }

    /// Number of rows, rejects among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a row has features.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn is_good(&self, row: usize) -> bool {
        self.status.value(row) != "rejected"
    }

    /// Size of a row's spectrogram.
    pub(crate) fn mel_bytes(&self, row: usize) -> usize {
        self.n_frames.value(row) as usize * N_MELS * self.storage.cell_bytes()
    }

    /// A row with features, without its spectrogram.
    #[must_use]
    pub fn sample(self: &Arc<Self>, row: usize) -> Sample {
        Sample { table: Arc::clone(self), row, mel: Bytes::new() }
    }

    /// A row with features and its spectrogram, the `place`-th of `mels`; `scratch` as
    /// [`Mels::unpack`] has it.
    ///
    /// # Errors
    /// If the spectrogram is damaged.
    pub fn sample_with(
        self: &Arc<Self>,
        row: usize,
        mels: &Mels,
        place: usize,
        scratch: &mut BytesMut,
    ) -> Result<Sample> {
        let sample = Sample { mel: mels.unpack(place, scratch)?, ..self.sample(row) };
        if sample.mel.len() == self.mel_bytes(row) {
            Ok(sample)
        } else {
            Err(Error::NotAShard(format!("the spectrogram of row {row} is of another length")))
        }
    }
}

/// What each row has in a column, as [`Recording::value`] has it.
fn values(batch: &RecordBatch, asked: &str) -> Result<Vec<String>> {
    let (gender, objects) = (column(batch, "gender")?, column(batch, "metadata")?);
    let value = |row| {
        let mut recording = Recording { metadata: metadata(objects, row)?, ..Recording::default() };
        recording.set_gender(text(gender, row).and_then(Gender::parse).unwrap_or_default());
        Ok(recording.value(asked).to_owned())
    };
    (0..batch.num_rows()).map(value).collect()
}

/// One recording with its features. Cheap to clone: it looks into the shard's columns.
#[derive(Debug, Clone)]
pub struct Sample {
    table: Arc<SampleTable>,
    row: usize,
    mel: Bytes,
}

impl Sample {
    /// Unique within the data set.
    #[must_use]
    pub fn id(&self) -> &str {
        self.table.id.value(self.row)
    }

    /// As submitted; empty if unknown.
    #[must_use]
    pub fn speaker(&self) -> &str {
        text(&self.table.speaker, self.row).unwrap_or_default()
    }

    /// The group that no split may divide: the speaker, else the recording itself.
    #[must_use]
    pub fn group(&self) -> &str {
        if self.speaker().is_empty() { self.id() } else { self.speaker() }
    }

    /// As submitted, in years.
    #[must_use]
    pub fn age_years(&self) -> Option<f64> {
        let ages = &self.table.age_years;
        ages.is_valid(self.row).then(|| ages.value(self.row))
    }

    /// As submitted.
    #[must_use]
    pub fn gender(&self) -> Gender {
        text(&self.table.gender, self.row).and_then(Gender::parse).unwrap_or_default()
    }

    /// As submitted.
    #[must_use]
    pub fn split(&self) -> Split {
        text(&self.table.split, self.row).and_then(Split::parse).unwrap_or_default()
    }

    /// What was submitted in the column that the table was read with; empty if nothing was.
    #[must_use]
    pub fn value(&self) -> &str {
        self.table.values.get(self.row).map_or("", String::as_str)
    }

    /// One value for each of the spec's columns; none where it is not known.
    pub fn tabular(&self) -> impl Iterator<Item = Option<f64>> {
        let value =
            |column: &Float64Array| column.is_valid(self.row).then(|| column.value(self.row));
        self.table.tabular.iter().map(value)
    }

    /// The embedding, if the spec has one and there is any sound.
    #[must_use]
    pub fn embedding(&self) -> Option<&[f32]> {
        let column = self.table.embedding.as_ref().filter(|column| column.is_valid(self.row))?;
        let units = usize::try_from(column.value_length()).ok()?;
        let values = column.values().as_primitive_opt::<Float32Type>()?.values();
        values.get(self.row * units..(self.row + 1) * units)
    }

    /// The spectrogram; it has no bytes if only the table was asked for.
    #[must_use]
    pub fn mel(&self) -> MelView<'_> {
        MelView {
            n_frames: self.table.n_frames.value(self.row) as usize,
            storage: self.table.storage,
            scale: self.table.mel_scale.value(self.row),
            offset: self.table.mel_offset.value(self.row),
            bytes: &self.mel,
        }
    }
}
