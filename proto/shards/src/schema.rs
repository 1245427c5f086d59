//! The Arrow schema of a shard: one row a recording.
//!
//! Always holds: every column says what it is in its field metadata (`unit`, `doc`), so
//! that a reader needs no other document. Tabular columns stand by their own names.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use voxage_contract::spec::EMBEDDING_UNITS;
use voxage_contract::{Embedding, FeatureSpec};

fn field(name: &str, data_type: DataType, unit: &str, doc: &str) -> Field {
    let metadata = [("unit", unit), ("doc", doc)].map(|(k, v)| (k.to_owned(), v.to_owned()));
    Field::new(name, data_type, true).with_metadata(metadata.into())
}

fn embedding_type() -> DataType {
    let item = Field::new("item", DataType::Float32, true);
    DataType::FixedSizeList(Arc::new(item), EMBEDDING_UNITS as i32)
}

/// The columns of a shard under a spec.
pub(crate) fn schema(spec: &FeatureSpec) -> SchemaRef {
    use DataType::{Binary, Float32, Float64, UInt16, UInt32, UInt64, Utf8};
    let text = |name, doc| field(name, Utf8, "1", doc);
    let list =
        |name, doc| field(name, DataType::List(Arc::new(Field::new("item", Utf8, true))), "1", doc);
    let mut fields = vec![
        text("id", "unique within the data set").with_nullable(false),
        text("path", "relative to the audio root").with_nullable(false),
        text("status", "ok, warned or rejected").with_nullable(false),
        text("stage", "of a reject: where it failed"),
        text("code", "of a reject: the reason"),
        text("message", "of a reject: for people"),
        list("warnings", "codes of what was odd but usable"),
        field("age_years", Float64, "a", "as submitted; null for prediction"),
        text("gender", "female or male, as submitted"),
        text("speaker", "the group that no split may divide, as submitted"),
        text("split", "train, validation or test, as submitted; null: by hash"),
        text("metadata", "extra columns of the submission, as a JSON object"),
        list("given", "tabular columns that came with the submission instead of from the audio"),
        field("source_bytes", UInt64, "B", "size of the audio file when it was planned"),
        text("source_etag", "version of the audio file when it was planned"),
        text("audio_sha256", "of the audio file"),
        text("codec", "of the audio"),
        field("sample_rate_hz", UInt32, "Hz", "native rate of the audio"),
        field("channels", UInt16, "1", "of the audio"),
        field("duration_s", Float64, "s", "decoded length"),
        text("mix", "how channels became one: mono, mean, left, right, left-right or channel 3"),
    ];
    fields.extend(spec.columns().map(|c| {
        let field = field(c.name, Float64, c.unit, c.doc);
        let mut metadata = field.metadata().clone();
        metadata.insert("range".to_owned(), c.range.to_owned());
        field.with_metadata(metadata)
    }));
    if spec.embedding != Embedding::None {
        fields.push(field("embedding", embedding_type(), "1", "of the speaker, Euclidean norm 1"));
    }
    fields.extend([
        field("n_frames", UInt32, "1", "frames of the spectrogram"),
        field("mel_scale", Float32, "dB", "dB = number * mel_scale + mel_offset"),
        field("mel_offset", Float32, "dB", "dB = number * mel_scale + mel_offset"),
        field(
            "mel",
            Binary,
            "1",
            "log-mel spectrogram, row-major [n_frames, 128]; the footer's voxage.spec says of which numbers",
        ),
    ]);
    Arc::new(Schema::new(fields))
}
