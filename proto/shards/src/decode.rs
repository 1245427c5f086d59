//! The bytes of a shard back into rows.

use arrow::array::{
    Array as _, AsArray as _, BinaryArray, FixedSizeListArray, Float32Array, Float64Array,
    ListArray, RecordBatch, StringArray, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::Float32Type;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use voxage_contract::digest::Digest;
use voxage_contract::{AudioInfo, Features, Gender, Mel, Recording, Reject, Split, Warning};

use crate::footer::Footer;
use crate::row::Row;
use crate::{Error, Result};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 64;

/// Which columns of a shard to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// All of them.
    All,
    /// All but the spectrogram, which then has no bytes: a hundredth of the work.
    Table,
}

/// A shard in memory.
#[derive(Debug, Clone)]
pub struct Shard {
    bytes: Bytes,
    footer: Footer,
}

impl Shard {
    /// Opens the bytes of a shard.
    ///
    /// # Errors
    /// If they are none.
    pub fn open(bytes: Bytes) -> Result<Self> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
        let footer = Footer::from_parquet(reader.metadata())?;
        Ok(Self { bytes, footer })
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
        let mut digest = Digest::new("rows");
        for row in self.rows(Columns::All)? {
            digest = row?.add_to(digest);
        }
        if digest.hex() == self.footer.digest { Ok(()) } else { Err(Error::Altered) }
    }

    /// Its rows, in order, decoded as they are asked for.
    ///
    /// # Errors
    /// Each row may fail if the shard is damaged.
    pub fn rows(&self, columns: Columns) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(self.bytes.clone())?;
        let mask = match columns {
            Columns::All => ProjectionMask::all(),
            Columns::Table => {
                let schema = builder.parquet_schema();
                let wanted =
                    (0..schema.num_columns()).filter(|&i| schema.column(i).name() != "mel");
                ProjectionMask::leaves(schema, wanted.collect::<Vec<_>>())
            }
        };
        let reader: ParquetRecordBatchReader =
            builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?;
        let footer = self.footer.clone();
        Ok(reader.flat_map(move |batch| match batch {
            Ok(batch) => rows(&batch, &footer).unwrap_or_else(|error| vec![Err(error)]),
            Err(error) => vec![Err(error.into())],
        }))
    }
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
        fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A> {
            batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref()).ok_or_else(
                || Error::NotAShard(format!("its column {name} is missing or of another type")),
            )
        }
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
        let metadata = text(self.metadata, i).unwrap_or("{}");
        let metadata = serde_json::from_str(metadata)
            .map_err(|error| Error::NotAShard(format!("metadata of row {i}: {error}")))?;
        let (found, submitted) = self.warnings(i);
        let mut recording = Recording {
            id: self.id.value(i).into(),
            path: self.path.value(i).into(),
            size_bytes: self.source_bytes.is_valid(i).then(|| self.source_bytes.value(i)),
            etag: text(self.source_etag, i).unwrap_or_default().into(),
            age_years: self.age_years.is_valid(i).then(|| self.age_years.value(i)),
            speaker: text(self.speaker, i).unwrap_or_default().into(),
            given,
            metadata,
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

fn text(column: &StringArray, i: usize) -> Option<&str> {
    column.is_valid(i).then(|| column.value(i))
}

fn list(column: &ListArray, i: usize) -> Vec<String> {
    let values = column.value(i);
    values.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}
