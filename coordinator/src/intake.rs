//! Rows of a manifest into recordings.
//!
//! Always holds: a row that can be named (id and path) becomes a recording, if need be
//! with a reject in it; nothing is dropped. Each row is judged on its own; what only the
//! whole table shows (duplicates, divided speakers) is `check`'s.

use std::path::Path;

use voxage_contract::columns;
use voxage_contract::scores::MAX_AGE_YEARS;
use voxage_contract::{Gender, Recording, Reject, Split};
use voxage_shards::table::{self, BadRow, Rows, TableRow};
use voxage_transport::source;

use crate::problem::{Problem, Severity};
use crate::{Error, Result};

/// What a column of a manifest is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Id,
    Path,
    Age,
    Gender,
    Speaker,
    Split,
    /// A tabular column, by its own name.
    Given(&'static str),
    /// Anything else: carried through.
    Metadata,
}

/// A manifest being read.
pub struct Intake {
    columns: Vec<(Role, String)>,
    rows: Rows,
    audio_root: String,
    path: String,
}

/// What a row came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Row of data, 1 for the first below the header.
    pub row: u64,
    /// The recording; none if the row cannot be named.
    pub recording: Option<Recording>,
    /// What is wrong with the row.
    pub problems: Vec<Problem>,
}

impl Intake {
    /// Opens a manifest. `audio_root` is the URI that its paths are relative to.
    ///
    /// # Errors
    /// If it is no table, or lacks a column that it must have.
    pub fn open(manifest: &Path, audio_root: &str) -> Result<Self> {
        let path = manifest.display().to_string();
        let table = table::open(manifest)
            .map_err(|source| Error::Manifest { path: path.clone(), source })?;
        let columns = roles(table.header)
            .map_err(|problem| Error::Structure { path: path.clone(), problem })?;
        Ok(Self { columns, rows: table.rows, audio_root: audio_root.to_owned(), path })
    }

    /// The manifest's own name of a column that is found by `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> String {
        let own =
            self.columns.iter().map(|(_, own)| own).find(|own| own.eq_ignore_ascii_case(name));
        own.map_or(name, String::as_str).to_owned()
    }

    fn entry(&self, row: TableRow) -> Entry {
        let mut recording = Recording::default();
        let mut problems = Vec::new();
        for ((role, name), cell) in self.columns.iter().zip(row.cells) {
            if let Err(problem) = take(&mut recording, role, name, cell, &self.audio_root) {
                problems.push(problem.at(row.row, Some(name)));
            }
        }
        if let Some(worst) = problems.iter().max_by_key(|problem| problem.severity) {
            match worst.severity {
                Severity::Reject => {
                    let message =
                        format!("{}: {}", worst.column.as_deref().unwrap_or(""), worst.message);
                    recording.reject = Some(Reject::new("intake", &worst.code, message));
                }
                Severity::Warning => recording.warnings.push(worst.code.clone()),
                Severity::Structure => {}
            }
        }
        let named = !recording.id.is_empty() && !recording.path.is_empty();
        Entry { row: row.row, recording: named.then_some(recording), problems }
    }
}

impl Iterator for Intake {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        Some(match self.rows.next()? {
            Ok(Ok(row)) => Ok(self.entry(row)),
            Ok(Err(BadRow { row, column, message })) => {
                let problem = Problem::new(Severity::Structure, "bad_row", message);
                Ok(Entry {
                    row,
                    recording: None,
                    problems: vec![problem.at(row, column.as_deref())],
                })
            }
            Err(source) => Err(Error::Manifest { path: self.path.clone(), source }),
        })
    }
}

/// What each column is, by its name without regard to case.
fn roles(header: Vec<String>) -> std::result::Result<Vec<(Role, String)>, Problem> {
    let mut columns: Vec<(Role, String)> = Vec::new();
    for name in header {
        let lower = name.to_lowercase();
        let role = match lower.as_str() {
            "id" => Role::Id,
            "path" => Role::Path,
            "age" => Role::Age,
            "gender" => Role::Gender,
            "speaker" => Role::Speaker,
            "split" => Role::Split,
            other => columns::all()
                .find(|column| column.name == other)
                .map_or(Role::Metadata, |column| Role::Given(column.name)),
        };
        if columns.iter().any(|(_, known)| known.to_lowercase() == lower) {
            let message = "the header has this column twice: rename one of them";
            return Err(
                Problem::new(Severity::Structure, "duplicate_column", message).of_column(&name)
            );
        }
        columns.push((role, name));
    }
    for (needed, name) in [(Role::Id, "id"), (Role::Path, "path")] {
        if !columns.iter().any(|(role, _)| *role == needed) {
            let names: Vec<_> = columns.iter().map(|(_, name)| name.as_str()).collect();
            let message = format!("the header has no such column; it has: {}", names.join(", "));
            return Err(
                Problem::new(Severity::Structure, "missing_column", message).of_column(name)
            );
        }
    }
    Ok(columns)
}

/// Puts one cell where it belongs.
fn take(
    recording: &mut Recording,
    role: &Role,
    name: &str,
    cell: String,
    audio_root: &str,
) -> std::result::Result<(), Problem> {
    use Severity::{Structure, Warning};
    let reject = |code, message: String| Err(Problem::new(Severity::Reject, code, message));
    if *role != Role::Metadata && cell.contains(['\n', '\r']) {
        // Most likely rows that were swallowed: they must not be lost without a word.
        let message =
            "there is a line break in this cell: close the quotation mark that opens here";
        return Err(Problem::new(Structure, "line_break", message));
    }
    match role {
        Role::Id if cell.is_empty() => {
            return Err(Problem::new(
                Structure,
                "empty_id",
                "the id is empty: give every row its own",
            ));
        }
        Role::Id => recording.id = cell,
        Role::Path if cell.is_empty() => {
            return Err(Problem::new(
                Structure,
                "empty_path",
                "the path is empty: give every row its audio",
            ));
        }
        Role::Path => match source::relative(audio_root, &cell) {
            Some(path) => recording.path = path,
            None => {
                let message = format!(
                    "'{cell}' is no file below the audio root {}: put it there, or give with --audio-root a folder above it and the manifest",
                    audio_root.trim_start_matches("file://")
                );
                return Err(Problem::new(Structure, "path_leaves_root", message));
            }
        },
        Role::Age if cell.is_empty() => {}
        Role::Age => match cell.parse::<f64>() {
            Ok(age) if age > 0.0 && age <= MAX_AGE_YEARS => recording.age_years = Some(age),
            Ok(age) if age.is_finite() => {
                return reject(
                    "age_range",
                    format!("age {age} is not above 0 and at most {MAX_AGE_YEARS} years"),
                );
            }
            _ => return reject("bad_age", format!("'{cell}' is not an age in years")),
        },
        Role::Gender => match Gender::parse(&cell) {
            Some(gender) => recording.set_gender(gender),
            None => {
                let message = format!(
                    "'{cell}' is neither female nor male: the model will take it as unknown"
                );
                recording.metadata.insert(name.to_owned(), cell);
                return Err(Problem::new(Warning, "unknown_gender", message));
            }
        },
        Role::Speaker => recording.speaker = cell,
        Role::Split => match Split::parse(&cell) {
            Some(split) => recording.set_split(split),
            None => {
                return reject("bad_split", format!("'{cell}' is none of train, validation, test"));
            }
        },
        Role::Given(column) => match number(&cell) {
            Ok(None) => {}
            Ok(Some(value)) => {
                recording.given.insert((*column).to_owned(), value);
            }
            Err(()) => return reject("bad_number", format!("'{cell}' is not a number")),
        },
        Role::Metadata => {
            if !cell.is_empty() {
                recording.metadata.insert(name.to_owned(), cell);
            }
        }
    }
    Ok(())
}

/// A tabular cell: a number, a list of one (`[117.45]`, as librosa's tempo is printed),
/// or nothing (empty, or the NaN of a data frame).
fn number(cell: &str) -> std::result::Result<Option<f64>, ()> {
    let inner =
        cell.strip_prefix('[').and_then(|cell| cell.strip_suffix(']')).unwrap_or(cell).trim();
    if inner.is_empty() {
        return Ok(None);
    }
    let value: f64 = inner.parse().map_err(|_| ())?;
    if value.is_infinite() { Err(()) } else { Ok(Some(value).filter(|value| !value.is_nan())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Entry>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, text).unwrap();
        Intake::open(&path, "file:///data/")?.collect()
    }

    #[test]
    fn a_quotation_mark_that_stays_open_swallows_no_rows_unseen() {
        let entries = read("id,path,age\nq1,a.wav,\"34\nq2,b.wav,20\n").unwrap();
        assert_eq!(codes(&entries[0]), [("age", "line_break")]);
        assert_eq!(entries[0].problems[0].severity, Severity::Structure);
    }

    fn codes(entry: &Entry) -> Vec<(&str, &str)> {
        entry
            .problems
            .iter()
            .map(|p| (p.column.as_deref().unwrap_or(""), p.code.as_str()))
            .collect()
    }

    #[test]
    fn a_full_row_is_understood() {
        let rows = read(
            "ID,Path,AGE,Gender,speaker,split,Tempo,jitter,country\n\
            16,./a/17.wav,32.5,Famale,s1,dev,[129.2],,south africa\n",
        )
        .unwrap();
        let recording = rows[0].recording.clone().unwrap();
        assert_eq!((recording.id.as_str(), recording.path.as_str()), ("16", "a/17.wav"));
        assert_eq!((recording.age_years, recording.gender()), (Some(32.5), Gender::Female));
        assert_eq!((recording.speaker.as_str(), recording.split()), ("s1", Split::Validation));
        assert_eq!(recording.given, [("tempo".to_owned(), 129.2)].into());
        assert_eq!(recording.metadata, [("country".to_owned(), "south africa".to_owned())].into());
        assert!(rows[0].problems.is_empty());
    }

    #[test]
    fn each_fault_is_named_with_its_column() {
        let check = |row: &str, expected: &[(&str, &str)]| {
            let rows = read(&format!("id,path,age,gender,split,jitter\n{row}\n")).unwrap();
            assert_eq!(codes(&rows[0]), expected, "{row}");
            rows.into_iter().next().unwrap().recording
        };
        let rejected = |recording: Option<Recording>| recording.unwrap().reject.unwrap().code;
        assert_eq!(rejected(check("1,a,abc,,,", &[("age", "bad_age")])), "bad_age");
        assert_eq!(rejected(check("1,a,nan,,,", &[("age", "bad_age")])), "bad_age");
        assert_eq!(rejected(check("1,a,-3,,,", &[("age", "age_range")])), "age_range");
        assert_eq!(rejected(check("1,a,0,,,", &[("age", "age_range")])), "age_range");
        assert_eq!(rejected(check("1,a,121,,,", &[("age", "age_range")])), "age_range");
        assert_eq!(rejected(check("1,a,,,holdout,", &[("split", "bad_split")])), "bad_split");
        assert_eq!(rejected(check("1,a,,,,x", &[("jitter", "bad_number")])), "bad_number");
        let odd = check("1,a,,xx,,", &[("gender", "unknown_gender")]).unwrap();
        assert_eq!(
            (odd.reject, odd.warnings.as_slice()),
            (None, &["unknown_gender".to_owned()][..])
        );
        assert_eq!(check(",a,,,,", &[("id", "empty_id")]), None);
        assert_eq!(check("1,,,,,", &[("path", "empty_path")]), None);
        assert_eq!(check("1,../a,,,,", &[("path", "path_leaves_root")]), None);
        assert_eq!(check("1,a", &[("", "bad_row")]), None);
        assert!(check("1,a,,,,nan", &[]).unwrap().given.is_empty());
    }

    #[test]
    fn a_header_without_id_or_path_is_refused() {
        for (header, code) in [
            ("name,path", "missing_column"),
            ("id,file", "missing_column"),
            ("id,ID,path", "duplicate_column"),
        ] {
            match read(&format!("{header}\n")) {
                Err(Error::Structure { problem, .. }) => assert_eq!(problem.code, code),
                other => panic!("{header}: {other:?}"),
            }
        }
    }
}
