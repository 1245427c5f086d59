//! The Parquet shard, and the tables that people submit: the only user of arrow and parquet.
//!
//! Always holds: what [`encode`] writes, [`Shard`] reads back equal, and any Parquet
//! reader opens. It does not know where shards are kept or who makes them.

mod decode;
mod encode;
mod footer;
mod mels;
mod page;
mod parts;
mod predictions;
mod row;
mod samples;
mod schema;
pub mod table;

pub use decode::{Columns, Shard};
pub use encode::encode;
pub use footer::Footer;
pub use mels::Mels;
pub use predictions::predictions;
pub use row::Row;
pub use samples::{Sample, SampleTable};

/// A shard that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Parquet layer failed.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The Arrow layer failed.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// A Parquet file, but no shard of ours.
    #[error("not a voxage shard: {0}")]
    NotAShard(String),
    /// Its spectrograms would not fit into a column.
    #[error(
        "its {rows} spectrograms take {mib} MiB, a shard has room for 2047: cancel the batch, and submit it again with a lower --shard-recordings"
    )]
    TooLarge {
        /// What they take.
        mib: u64,
        /// How many there are.
        rows: usize,
    },
    /// Its rows are not what its footer says.
    #[error("its rows are not those that were written: delete it and run the manifest again")]
    Altered,
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
