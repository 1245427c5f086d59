//! A run's metrics as TensorBoard reads them: an event file of scalars.
//!
//! The format is that of TensorFlow's `RecordWriter`: length, checksum, an `Event` of
//! protobuf, checksum. It does not know where the file goes.

use prost::Message;
use voxage_contract::training::Metric;

/// `tensorflow.Event`, as far as it is written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// An event file with some lines of metrics.
#[must_use]
pub fn events(metrics: &[Metric]) -> Vec<u8> {
    let mut file = Vec::new();
    let wall_time = metrics.first().map_or(0.0, |metric| metric.at_unix_s);
    let version = Some("brain.Event:2".to_owned());
    record(&mut file, &Event { wall_time, file_version: version, ..Event::default() });
    for metric in metrics {
        let scalar =
            |(tag, value): (&str, f64)| Value { tag: tag.into(), simple_value: value as f32 };
        let value = metric.scalars().map(scalar).collect();
        let summary = Some(Summary { value });
        let (wall_time, step) = (metric.at_unix_s, metric.step as i64);
        record(&mut file, &Event { wall_time, step, file_version: None, summary });
    }
    file
}

fn record(file: &mut Vec<u8>, event: &Event) {
    let event = event.encode_to_vec();
    let length = (event.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(checksum(&length));
    file.extend(&event);
    file.extend(checksum(&event));
}

/// CRC-32C, masked as `TFRecord` does so that a checksum of checksums is none.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}
