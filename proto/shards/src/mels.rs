//! Single spectrograms out of a shard.
//!
//! Always holds: a spectrogram that is alone in its page stays packed until it is asked
//! for; pages of several, as shards had them once, are unpacked at once. Packed pages go by
//! the C library of LZ4, which takes three fifths of the time that parquet's takes.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use lz4::block::decompress_to_buffer;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader as _};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::ChunkReader as _;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::decode::Shard;
use crate::page::Header;
use crate::parts::Parts;
use crate::samples::SampleTable;
use crate::{Error, Result};

/// What a byte of LZ4 can become at most: so much of one that counts a length.
const MOST_UNPACKED: usize = 255;

/// Bytes that are fetched ahead: of more, the processor by then sees the direction itself.
#[cfg(target_arch = "x86_64")]
const PREFETCHED: usize = 32 << 10;

/// The spectrograms of some rows of a shard.
#[derive(Debug)]
pub struct Mels(Vec<Cell>);

#[derive(Debug)]
enum Cell {
    /// A page, in which it is alone.
    Packed(Bytes),
    Plain(Bytes),
}

impl Mels {
    /// Finds the spectrograms of `rows`, which are good ones of `table`, in ascending order.
    ///
    /// # Errors
    /// If the shard is damaged or not at hand.
    pub fn find(shard: &Shard, table: &SampleTable, rows: &[usize]) -> Result<Self> {
        let metadata = shard.metadata.metadata();
        let columns = metadata.file_metadata().schema_descr().columns();
        let column = columns.iter().position(|column| column.name() == "mel");
        let column = column.ok_or_else(|| Error::NotAShard("it has no column mel".into()))?;
        let file = Arc::new(shard.file.clone());
        let mut mels = Self(Vec::with_capacity(rows.len()));
        let (mut rows, mut before) = (rows.iter().copied().peekable(), 0);
        for (group, about) in metadata.row_groups().iter().enumerate() {
            let n_rows = usize::try_from(about.num_rows()).unwrap_or(0);
            for (page, first, end) in pages(metadata, group, column, n_rows) {
                let (first, end) = (before + first, (before + end).min(table.len()));
                let mut wanted = Vec::new();
                while let Some(row) = rows.next_if(|&row| row < end) {
                    wanted.push(row);
                }
                if !wanted.is_empty() {
                    let good: Vec<_> = (first..end).filter(|&row| table.is_good(row)).collect();
                    mels.take(&file, about.column(column), page, &good, &wanted)?;
                }
            }
            before += n_rows;
        }
        if rows.next().is_none() {
            Ok(mels)
        } else {
            Err(Error::NotAShard("it has fewer spectrograms than rows".into()))
        }
    }

    /// Takes in the wanted ones of the good rows of a page, or of a row group whose pages are
    /// not known.
    fn take(
        &mut self,
        file: &Arc<Parts>,
        column: &ColumnChunkMetaData,
        page: Option<&PageLocation>,
        good: &[usize],
        wanted: &[usize],
    ) -> Result<()> {
        let is_lz4 = column.compression() == Compression::LZ4_RAW;
        if let (Some(page), [_], true) = (page, good, is_lz4) {
            let length = usize::try_from(page.compressed_page_size).unwrap_or(0);
            self.0.push(Cell::Packed(file.get_bytes(page.offset as u64, length)?));
            return Ok(());
        }
        let only = page.map(|page| vec![page.clone()]);
        let mut pages = SerializedPageReader::new(Arc::clone(file), column, 0, only)?;
        if page.is_some_and(|page| page.offset as u64 != column.byte_range().0) {
            // The reader takes what is before the page for a dictionary.
            pages.skip_next_page()?;
        }
        let mut values = Vec::new();
        while let Some(page) = pages.get_next_page()? {
            let Page::DataPage { buf: mut rest, encoding: Encoding::PLAIN, .. } = page else {
                return Err(odd(&"its kind"));
            };
            // Which rows have none, the table knows already.
            let _levels = next(&mut rest)?;
            while !rest.is_empty() {
                values.push(next(&mut rest)?);
            }
        }
        if values.len() != good.len() {
            return Err(Error::NotAShard("its spectrograms are not those of its rows".into()));
        }
        let good = good.iter().zip(values).filter(|(row, _)| wanted.binary_search(row).is_ok());
        self.0.extend(good.map(|(_, value)| Cell::Plain(value)));
        Ok(())
    }

    /// Has the processor fetch, meanwhile, what [`Mels::unpack`] will read of some place: in a
    /// shuffled order it would wait for memory at every few lines of it. Else does nothing.
    pub fn prefetch(&self, place: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(Cell::Packed(page)) = self.0.get(place) {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            for line in page[..page.len().min(PREFETCHED)].chunks(64) {
                // SAFETY: a hint, which changes nothing that a program can see.
                #[allow(unsafe_code)]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
                }
            }
        }
    }

    /// The bytes of the spectrogram in some place, in `scratch`, whose memory is used again
    /// once they are dropped.
    ///
    /// # Errors
    /// If it is damaged.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn unpack(&self, place: usize, scratch: &mut BytesMut) -> Result<Bytes> {
        match &self.0[place] {
            Cell::Plain(bytes) => Ok(bytes.clone()),
            Cell::Packed(page) => {
                let header = Header::read(page).ok_or_else(|| odd(&"its header"))?;
                if header.unpacked / MOST_UNPACKED > page.len() {
                    return Err(odd(&"its size"));
                }
                let size = i32::try_from(header.unpacked).map_err(|error| odd(&error))?;
                scratch.resize(header.unpacked, 0);
                let packed = &page[header.start..];
                let length = decompress_to_buffer(packed, Some(size), scratch);
                scratch.truncate(length.map_err(|error| odd(&error))?);
                let mut rest = scratch.split().freeze();
                let _levels = next(&mut rest)?;
                next(&mut rest)
            }
        }
    }
}

/// The pages of a column in a row group, each with its first row and the one after its
/// last; all of them as one if it is not known where they are.
fn pages(
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
    n_rows: usize,
) -> Vec<(Option<&PageLocation>, usize, usize)> {
    let index = metadata.offset_index().and_then(|index| index.get(group)?.get(column));
    let pages = index.map_or(&[][..], |index| index.page_locations());
    if pages.is_empty() {
        return vec![(None, 0, n_rows)];
    }
    let first = |page: &PageLocation| usize::try_from(page.first_row_index).unwrap_or(n_rows);
    let ends = pages[1..].iter().map(first).chain([n_rows]);
    pages.iter().zip(ends).map(|(page, end)| (Some(page), first(page), end)).collect()
}

/// The bytes that come next, behind their length.
fn next(rest: &mut Bytes) -> Result<Bytes> {
    let length = rest.first_chunk().map(|&n| u32::from_le_bytes(n) as usize);
    let fits = |n: &usize| n.checked_add(4).is_some_and(|end| end <= rest.len());
    let length = length.filter(fits).ok_or_else(|| odd(&"it ends too soon"))?;
    rest.advance(4);
    Ok(rest.split_to(length))
}

fn odd(why: &dyn std::fmt::Display) -> Error {
    Error::NotAShard(format!("a page of spectrograms cannot be read: {why}"))
}
