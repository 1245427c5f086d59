//! Predictions as Parquet: one row a recording, in the order of its shard.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use voxage_contract::training::Prediction;

use crate::Result;

/// The bytes of a Parquet file with the columns `id`, `path`, `age` in years, `low` and `high`
/// (the interval's ends), `warnings`, and `model`, the key of the version that said so.
///
/// # Errors
/// If Parquet cannot write it.
pub fn predictions(model: &str, predictions: &[Prediction]) -> Result<Bytes> {
    let text = |of: fn(&Prediction) -> &str| -> ArrayRef {
        Arc::new(predictions.iter().map(|one| Some(of(one))).collect::<StringArray>())
    };
    let years = |of: fn(&Prediction) -> Option<f64>| -> ArrayRef {
        Arc::new(predictions.iter().map(of).collect::<Float64Array>())
    };
    let mut warnings = ListBuilder::new(StringBuilder::new());
    for one in predictions {
        warnings.append_value(one.warnings.iter().map(Some));
    }
    let models = predictions.iter().map(|_| Some(model)).collect::<StringArray>();
    let batch = RecordBatch::try_from_iter([
        ("id", text(|one| &one.id)),
        ("path", text(|one| &one.path)),
        ("age", years(|one| one.age)),
        ("low", years(|one| one.interval.map(|ends| ends[0]))),
        ("high", years(|one| one.interval.map(|ends| ends[1]))),
        ("warnings", Arc::new(warnings.finish()) as ArrayRef),
        ("model", Arc::new(models)),
    ])?;
    let layout = WriterProperties::builder().set_compression(Compression::LZ4_RAW).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(layout))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}
