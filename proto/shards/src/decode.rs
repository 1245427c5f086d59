//! The bytes of a shard back into rows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array as _, AsArray as _, BinaryArray, FixedSizeListArray, Float32Array, Float64Array,
    ListArray, RecordBatch, StringArray, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::Float32Type;
use bytes::{Bytes, BytesMut};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::reader::Length as _;
use parquet::schema::types::ColumnDescriptor;
use voxage_contract::digest::Digest;
use voxage_contract::{AudioInfo, Features, Gender, Mel, Recording, Reject, Split, Warning};

use crate::footer::Footer;
use crate::mels::Mels;
use crate::parts::Parts;
use crate::row::Row;
use crate::samples::SampleTable;
use crate::{Error, Result};

/// Rows decoded at a time, at most, and what they take about, at most.
const BATCH_ROWS: usize = 64;
const BATCH_BYTES: i64 = 8 << 20;

/// Which columns of a shard to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// All of them.
    All,
    /// All but the spectrogram, which then has no bytes: a hundredth of the work.
    Table,
}

/// A shard in memory, or as much of it as is at hand.
#[derive(Debug, Clone)]
pub struct Shard {
    pub(crate) file: Parts,
    pub(crate) metadata: ArrowReaderMetadata,
    footer: Footer,
}

impl Shard {
    /// Opens the bytes of a shard.
    ///
    /// # Errors
    /// If they are none.
    pub fn open(bytes: Bytes) -> Result<Self> {
        // Where pages are lets single spectrograms be read.
        let pages = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&bytes, pages)?;
        let footer = Footer::from_parquet(metadata.metadata())?;
        Ok(Self { file: Parts::whole(bytes), metadata, footer })
    }

    /// Opens the last bytes of a shard of `size` bytes: only its footer is at hand then.
    ///
    /// # Errors
    /// If it is no shard. `Ok(Err(n))` if the last `n` bytes are needed.
    pub fn open_tail(tail: &Bytes, size: u64) -> Result<std::result::Result<Self, u64>> {
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(tail, size) {
            Ok(()) => {
                let metadata = Arc::new(reader.finish()?);
                let metadata = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new())?;
                let footer = Footer::from_parquet(metadata.metadata())?;
                Ok(Ok(Self { file: Parts::of(size, Vec::new()), metadata, footer }))
            }
            Err(ParquetError::NeedMoreData(needed)) => Ok(Err(needed as u64)),
            Err(error) => Err(error.into()),
        }
    }

    /// Where in the file its table is, for [`Shard::with_parts`]: a range a row group.
    #[must_use]
    pub fn table_ranges(&self) -> Vec<Range<u64>> {
        let groups = self.metadata.metadata().row_groups().iter();
        let range = |group: &RowGroupMetaData| {
            let table = group.columns().iter().filter(|column| !is_mel(column.column_descr()));
            let ranges = table.map(ColumnChunkMetaData::byte_range);
            let ends = ranges.map(|(start, length)| (start, start.saturating_add(length)));
            let least = |all: (u64, u64), one: (u64, u64)| (all.0.min(one.0), all.1.max(one.1));
            ends.reduce(least).map_or(0..0, |(start, end)| start..end)
        };
        groups.map(range).collect()
    }

    /// With some more of the file at hand, each part with its place.
    #[must_use]
    pub fn with_parts(self, parts: Vec<(u64, Bytes)>) -> Self {
        Self { file: Parts::of(self.file.len(), parts), ..self }
    }

    /// What a training needs of its rows, but for the spectrograms; with what was submitted
    /// in `column`, if one is named.
    ///
    /// # Errors
    /// If it is damaged or not at hand.
    pub fn samples(&self, column: Option<&str>) -> Result<SampleTable> {
        SampleTable::read(self, column)
    }

    /// What the shard says of itself.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Reads everything and compares it with the footer's digest.
    ///
    /// # Errors
    /// If a row is not what was written.
    pub fn verify(&self) -> Result<()> {
        let table = self.samples(None)?;
        let good: Vec<_> = (0..table.len()).filter(|&row| table.is_good(row)).collect();
        let (mels, mut places) = (Mels::find(self, &table, &good)?, 0..good.len());
        let mut scratch = BytesMut::new();
        let mut digest = Digest::new("rows");
        for row in self.rows(Columns::Table)? {
            let mut row = row?;
            if let Ok(features) = &mut row.outcome {
                // One at a time: together they may be large.
                let place = places.next().ok_or(Error::Altered)?;
                features.mel.bytes = mels.unpack(place, &mut scratch)?.into();
            }
            digest = row.add_to(digest);
        }
        if digest.hex() == self.footer.digest { Ok(()) } else { Err(Error::Altered) }
    }

    /// Its rows, in order, decoded as they are asked for.
    ///
    /// # Errors
    /// Each row may fail if the shard is damaged.
    pub fn rows(&self, columns: Columns) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
        let metadata = self.metadata.metadata();
        let bytes: i64 = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).sum();
        let fitting =
            BATCH_BYTES.saturating_mul(metadata.file_metadata().num_rows()) / bytes.max(1);
        let n_rows = usize::try_from(fitting).unwrap_or(1).clamp(1, BATCH_ROWS);
        let reader = self.read(n_rows, |column| columns == Columns::All || !is_mel(column))?;
        let footer = self.footer.clone();
        Ok(reader.flat_map(move |batch| match batch {
            Ok(batch) => rows(&batch, &footer).unwrap_or_else(|error| vec![Err(error)]),
            Err(error) => vec![Err(error.into())],
        }))
    }

    /// The columns that are wanted, some rows at a time.
    pub(crate) fn read(
        &self,
        batch_rows: usize,
        wanted: impl Fn(&ColumnDescriptor) -> bool,
    ) -> Result<ParquetRecordBatchReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.clone(),
            self.metadata.clone(),
        );
        let schema = builder.parquet_schema();
        let wanted = (0..schema.num_columns()).filter(|&i| wanted(&schema.column(i)));
        let mask = ProjectionMask::leaves(schema, wanted.collect::<Vec<_>>());
        Ok(builder.with_projection(mask).with_batch_size(batch_rows).build()?)
    }
}

fn is_mel(column: &ColumnDescriptor) -> bool {
    column.name() == "mel"
}

fn rows(batch: &RecordBatch, footer: &Footer) -> Result<Vec<Result<Row>>> {
    let columns = Batch::open(batch, footer)?;
    Ok((0..batch.num_rows()).map(|i| columns.row(i)).collect())
}

/// The columns of one batch, each as its type.
struct Batch<'a> {
    footer: &'a Footer,
    id: &'a StringArray,
    path: &'a StringArray,
    status: &'a StringArray,
    stage: &'a StringArray,
    code: &'a StringArray,
    message: &'a StringArray,
    warnings: &'a ListArray,
    age_years: &'a Float64Array,
    gender: &'a StringArray,
    speaker: &'a StringArray,
    split: &'a StringArray,
    metadata: &'a StringArray,
    given: &'a ListArray,
    source_bytes: &'a UInt64Array,
    source_etag: &'a StringArray,
    audio_sha256: &'a StringArray,
    codec: &'a StringArray,
    sample_rate_hz: &'a UInt32Array,
    channels: &'a UInt16Array,
    duration_s: &'a Float64Array,
    mix: &'a StringArray,
    embedding: Option<&'a FixedSizeListArray>,
    tabular: Vec<(&'static str, &'a Float64Array)>,
    n_frames: &'a UInt32Array,
    mel_scale: &'a Float32Array,
    mel_offset: &'a Float32Array,
    mel: Option<&'a BinaryArray>,
}

impl<'a> Batch<'a> {
    fn open(batch: &'a RecordBatch, footer: &'a Footer) -> Result<Self> {
        Ok(Self {
            footer,
            id: column(batch, "id")?,
            path: column(batch, "path")?,
            status: column(batch, "status")?,
            stage: column(batch, "stage")?,
            code: column(batch, "code")?,
            message: column(batch, "message")?,
            warnings: column(batch, "warnings")?,
            age_years: column(batch, "age_years")?,
            gender: column(batch, "gender")?,
            speaker: column(batch, "speaker")?,
            split: column(batch, "split")?,
            metadata: column(batch, "metadata")?,
            given: column(batch, "given")?,
            source_bytes: column(batch, "source_bytes")?,
            source_etag: column(batch, "source_etag")?,
            audio_sha256: column(batch, "audio_sha256")?,
            codec: column(batch, "codec")?,
            sample_rate_hz: column(batch, "sample_rate_hz")?,
            channels: column(batch, "channels")?,
            duration_s: column(batch, "duration_s")?,
            mix: column(batch, "mix")?,
            embedding: batch
                .column_by_name("embedding")
                .and_then(|column| column.as_fixed_size_list_opt()),
            tabular: footer
                .spec
                .columns()
                .map(|c| Ok((c.name, column(batch, c.name)?)))
                .collect::<Result<_>>()?,
            n_frames: column(batch, "n_frames")?,
            mel_scale: column(batch, "mel_scale")?,
            mel_offset: column(batch, "mel_offset")?,
            mel: batch.column_by_name("mel").and_then(|column| column.as_binary_opt()),
        })
    }

    fn row(&self, i: usize) -> Result<Row> {
        let names = list(self.given, i);
        let given = self
            .tabular
            .iter()
            .filter(|(name, values)| names.iter().any(|given| given == name) && values.is_valid(i))
            .map(|(name, values)| ((*name).to_owned(), values.value(i)))
            .collect();
        let (found, submitted) = self.warnings(i);
        let mut recording = Recording {
            id: self.id.value(i).into(),
            path: self.path.value(i).into(),
            size_bytes: self.source_bytes.is_valid(i).then(|| self.source_bytes.value(i)),
            etag: text(self.source_etag, i).unwrap_or_default().into(),
            age_years: self.age_years.is_valid(i).then(|| self.age_years.value(i)),
            speaker: text(self.speaker, i).unwrap_or_default().into(),
            given,
            metadata: metadata(self.metadata, i)?,
            warnings: submitted,
            ..Recording::default()
        };
        recording.set_gender(text(self.gender, i).and_then(Gender::parse).unwrap_or_default());
        recording.set_split(text(self.split, i).and_then(Split::parse).unwrap_or_default());
        let outcome = if self.status.value(i) == "rejected" {
            let get = |column| text(column, i).unwrap_or_default();
            Err(Reject::new(get(self.stage), get(self.code), get(self.message)))
        } else {
            Ok(self.features(i, found))
        };
        Ok(Row { recording, outcome })
    }

    fn features(&self, i: usize, warnings: Vec<Warning>) -> Features {
        let get = |column| text(column, i).unwrap_or_default().to_owned();
        Features {
            audio: AudioInfo {
                codec: get(self.codec),
                sample_rate_hz: self.sample_rate_hz.value(i),
                channels: self.channels.value(i),
                duration_s: self.duration_s.value(i),
                mix: get(self.mix),
                sha256: get(self.audio_sha256),
            },
            mel: Mel {
                n_frames: self.n_frames.value(i) as usize,
                storage: self.footer.spec.mel.storage,
                scale: self.mel_scale.value(i),
                offset: self.mel_offset.value(i),
                bytes: self.mel.map(|mel| mel.value(i).to_vec()).unwrap_or_default(),
            },
            tabular: self
                .tabular
                .iter()
                .map(|(_, values)| values.is_valid(i).then(|| values.value(i)))
                .collect(),
            embedding: self
                .embedding
                .filter(|column| column.is_valid(i))
                .map(|column| column.value(i).as_primitive::<Float32Type>().values().to_vec()),
            warnings,
        }
    }

    /// The warnings of the extractor, and those of the submission.
    fn warnings(&self, i: usize) -> (Vec<Warning>, Vec<String>) {
        let (mut found, mut submitted) = (Vec::new(), Vec::new());
        for code in list(self.warnings, i) {
            match Warning::parse(&code) {
                Some(warning) => found.push(warning),
                None => submitted.push(code),
            }
        }
        (found, submitted)
    }
}

/// A column of a batch as its type.
pub(crate) fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_any().downcast_ref())
        .ok_or_else(|| Error::NotAShard(format!("its column {name} is missing or of another type")))
}

pub(crate) fn text(column: &StringArray, i: usize) -> Option<&str> {
    column.is_valid(i).then(|| column.value(i))
}

/// What a row has in the columns that no other is for.
pub(crate) fn metadata(column: &StringArray, i: usize) -> Result<BTreeMap<String, String>> {
    let object = text(column, i).unwrap_or("{}");
    serde_json::from_str(object)
        .map_err(|error| Error::NotAShard(format!("metadata of row {i}: {error}")))
}

fn list(column: &ListArray, i: usize) -> Vec<String> {
    let values = column.value(i);
    values.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}
