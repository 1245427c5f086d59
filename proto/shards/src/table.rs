//! Tables that people submit, row by row: CSV with any usual delimiter, or Parquet.
//!
//! Always holds: memory is bounded by one row (CSV) or one batch (Parquet), whatever the
//! table's length; every cell is text, an empty one is absent. What the columns mean is
//! not known here.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A table that cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no table that voxage reads.
    #[error("{0}")]
    Unreadable(String),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Its number: 1 for the first row of data.
    pub row: u64,
    /// One cell a column of the header.
    pub cells: Vec<String>,
}

/// A row that cannot be used; the rows behind it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its number: 1 for the first row of data.
    pub row: u64,
    /// The column, where it is one column's fault.
    pub column: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Rows as they are read. The outer error ends the table.
pub type Rows = Box<dyn Iterator<Item = Result<Result<TableRow, BadRow>, TableError>> + Send>;

/// An open table.
pub struct Table {
    /// Names of the columns, as they are.
    pub header: Vec<String>,
    /// What is below.
    pub rows: Rows,
}

/// Opens a CSV or Parquet file, telling them apart by content.
///
/// # Errors
/// If it cannot be read, is neither, or is empty.
pub fn open(path: &Path) -> Result<Table, TableError> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    match &magic[..read] {
        b"PAR1" => parquet(file),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            Err(TableError::Unreadable("the file is UTF-16: save it as UTF-8".into()))
        }
        [0x1F, 0x8B, ..] => {
            Err(TableError::Unreadable("the file is gzipped: unpack it first".into()))
        }
        [] => Err(TableError::Unreadable("the file is empty".into())),
        _ => csv(file),
    }
}

fn csv(file: File) -> Result<Table, TableError> {
    let mut input = BufReader::with_capacity(1 << 18, file);
    if input.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    }
    let delimiter = sniff(input.fill_buf()?);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(input);
    let header = reader
        .headers()
        .map_err(|error| TableError::Unreadable(format!("the header cannot be read: {error}")))?;
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let names = header.clone();
    let rows = reader.into_byte_records().zip(1..).map(move |(record, row)| {
        let record = record.map_err(|error| TableError::Unreadable(error.to_string()))?;
        Ok(cells(&record, &names)
            .map(|cells| TableRow { row, cells })
            .map_err(|(column, message)| BadRow { row, column, message }))
    });
    Ok(Table { header, rows: Box::new(rows) })
}

/// The delimiter that splits the header line most often, outside quotes.
fn sniff(start: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for &byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(d, _)| *d == byte).for_each(|(_, n)| *n += 1),
        }
    }
    // The first of equals: a header of one column is read with commas.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

fn cells(
    record: &csv::ByteRecord,
    header: &[String],
) -> Result<Vec<String>, (Option<String>, String)> {
    if record.len() != header.len() {
        let message = format!(
            "the row has {} cells, the header {}: quote cells that contain the delimiter",
            record.len(),
            header.len()
        );
        return Err((None, message));
    }
    let text = |(cell, name): (&[u8], &String)| {
        let cell = std::str::from_utf8(cell).map_err(|_| {
            (Some(name.clone()), "the cell is not UTF-8: save the file as UTF-8".to_owned())
        })?;
        Ok(cell.trim().to_owned())
    };
    record.iter().zip(header).map(text).collect()
}

fn parquet(file: File) -> Result<Table, TableError> {
    let unreadable = |error: &dyn std::fmt::Display| TableError::Unreadable(error.to_string());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unreadable(&e))?;
    let header = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let reader = builder.with_batch_size(1024).build().map_err(|e| unreadable(&e))?;
    let rows = reader
        .flat_map(move |batch| {
            let cells = batch.and_then(|batch| batch_cells(&batch));
            match cells {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(TableError::Unreadable(error.to_string()))],
            }
        })
        .zip(1..)
        .map(|(cells, row)| cells.map(|cells| Ok(TableRow { row, cells })));
    Ok(Table { header, rows: Box::new(rows) })
}

fn batch_cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>, arrow::error::ArrowError> {
    let options = FormatOptions::default().with_null("");
    let columns = batch.columns().iter();
    let columns: Vec<_> = columns
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<_, _>>()?;
    let row = |i| columns.iter().map(|column| column.value(i).try_to_string()).collect();
    (0..batch.num_rows()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Everything = (Vec<String>, Vec<Result<TableRow, BadRow>>);

    fn read(bytes: &[u8]) -> Result<Everything, TableError> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("table");
        std::fs::write(&path, bytes)?;
        let table = open(&path)?;
        Ok((table.header, table.rows.collect::<Result<_, _>>()?))
    }

    fn row(row: u64, cells: [&str; 2]) -> Result<TableRow, BadRow> {
        Ok(TableRow { row, cells: cells.map(str::to_owned).into() })
    }

    #[test]
    fn delimiters_quotes_and_boms_are_read() {
        for delimiter in [",", ";", "\t", "|"] {
            for bom in ["", "\u{FEFF}"] {
                let text = format!(
                    "{bom}id{delimiter}path\r\n1{delimiter}a.wav\n2{delimiter}\"b\n\"\"c\"\"{delimiter}\"\n3{delimiter} d \n"
                );
                let (header, rows) = read(text.as_bytes()).unwrap();
                assert_eq!(header, ["id", "path"]);
                let quoted = format!("b\n\"c\"{delimiter}");
                let expected =
                    [row(1, ["1", "a.wav"]), row(2, ["2", quoted.trim()]), row(3, ["3", "d"])];
                assert_eq!(rows, expected);
            }
        }
    }

    #[test]
    fn a_bad_row_does_not_hide_the_next() {
        let (_, rows) = read(b"id,path\n1\n2,\xFF\n3,c\n").unwrap();
        let bad = rows[0].as_ref().unwrap_err();
        assert_eq!((bad.row, bad.column.as_deref()), (1, None));
        let bad = rows[1].as_ref().unwrap_err();
        assert_eq!((bad.row, bad.column.as_deref()), (2, Some("path")));
        assert_eq!(rows[2], row(3, ["3", "c"]));
    }

    #[test]
    fn what_is_no_table_says_so() {
        assert!(read(b"").err().unwrap().to_string().contains("empty"));
        assert!(read(b"\xFF\xFEi\0d\0").err().unwrap().to_string().contains("UTF-16"));
        assert!(read(b"PAR1 but not really").is_err());
    }

    #[test]
    fn parquet_cells_become_text() {
        use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray};
        use arrow::datatypes::Float64Type;
        use std::sync::Arc;
        let tempo =
            ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(129.5)]), None]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![1, 2]))),
            ("path", Arc::new(StringArray::from(vec!["a.wav", "b.wav"]))),
            ("age", Arc::new(Float64Array::from(vec![Some(31.5), None]))),
            ("tempo", Arc::new(tempo)),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let mut bytes = Vec::new();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (header, rows) = read(&bytes).unwrap();
        assert_eq!(header, ["id", "path", "age", "tempo"]);
        let cells: Vec<_> = rows.into_iter().map(|row| row.unwrap().cells).collect();
        assert_eq!(cells, [["1", "a.wav", "31.5", "[129.5]"], ["2", "b.wav", "", ""]]);
    }
}
