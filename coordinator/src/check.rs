//! The whole manifest at a glance, before any work: what only all rows together show.
//!
//! Always holds: memory is 16 bytes a row, plus the speakers where splits are given.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use voxage_contract::{Recording, Split};

use crate::Result;
use crate::intake::Intake;
use crate::problem::{Problem, Severity};

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Rows of data.
    pub rows: u64,
    /// The manifest's own name of the column of the audio paths.
    pub path_column: String,
    /// What is wrong, in the order of the rows.
    pub problems: Vec<Problem>,
    /// Problems for which a submission is refused, kept or not.
    pub refused: u64,
    /// Problems that make a reject of a row, kept or not.
    pub rejects: u64,
}

impl Checked {
    /// The problems for which a submission is refused.
    pub fn structural(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Structure)
    }

    /// Adds a problem; of a kind that there are many of, no more than `most` are kept.
    fn add(&mut self, problem: Problem, most: u64) {
        let so_far = match problem.severity {
            Severity::Structure => &mut self.refused,
            _ => &mut self.rejects,
        };
        *so_far += 1;
        if *so_far <= most {
            self.problems.push(problem);
        }
    }
}

/// Checks a manifest without opening its audio; `each` sees every row that names a
/// recording.
///
/// # Errors
/// If the manifest cannot be read as a table of recordings.
pub fn check(
    manifest: &Path,
    audio_root: &str,
    each: impl FnMut(u64, &Recording),
) -> Result<Checked> {
    check_some(manifest, audio_root, u64::MAX, each)
}

/// As [`check`], keeping of problems of a kind no more than `most`.
pub(crate) fn check_some(
    manifest: &Path,
    audio_root: &str,
    most: u64,
    mut each: impl FnMut(u64, &Recording),
) -> Result<Checked> {
    let intake = Intake::open(manifest, audio_root)?;
    let mut checked = Checked { path_column: intake.column("path"), ..Checked::default() };
    let (id_column, split_column) = (intake.column("id"), intake.column("split"));
    let mut ids = HashMap::new();
    let mut sides = HashMap::new();
    for entry in intake {
        let entry = entry?;
        checked.rows = entry.row;
        for problem in entry.problems {
            checked.add(problem, most);
        }
        let Some(recording) = entry.recording else { continue };
        if let Some(first) = ids.insert(hash(&recording.id), entry.row) {
            let message = format!(
                "id '{}' is that of row {first} too: make one of them another",
                recording.id
            );
            let problem = structural("duplicate_id", message, entry.row, &id_column);
            checked.add(problem, most);
        }
        if let Some(message) = divided(&mut sides, &recording, entry.row) {
            let problem = structural("speaker_split", message, entry.row, &split_column);
            checked.add(problem, most);
        }
        each(entry.row, &recording);
    }
    if checked.rows == 0 {
        let message = "the manifest has a header but no rows";
        checked.add(Problem::new(Severity::Structure, "no_rows", message), most);
    }
    Ok(checked)
}

/// Says of a speaker who is on one side of the given split here and on another elsewhere.
fn divided(
    sides: &mut HashMap<String, (Split, u64)>,
    recording: &Recording,
    row: u64,
) -> Option<String> {
    if recording.speaker.is_empty() || recording.split() == Split::Unspecified {
        return None;
    }
    let side = recording.split();
    let (first, first_row) = *sides.entry(recording.speaker.clone()).or_insert((side, row));
    (first != side).then(|| {
        format!(
            "speaker '{}' is in {} here and in {} in row {first_row}: a speaker belongs to one split",
            recording.speaker,
            side.text().unwrap_or_default(),
            first.text().unwrap_or_default(),
        )
    })
}

fn structural(code: &str, message: String, row: u64, column: &str) -> Problem {
    Problem::new(Severity::Structure, code, message).at(row, Some(column))
}

/// 64 bits that tell ids apart: two of ten million collide once in 370,000 manifests.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<(Option<u64>, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, text).unwrap();
        let checked = check(&path, "file:///data/", |_, _| {}).unwrap();
        checked.problems.iter().map(|problem| (problem.row, problem.code.clone())).collect()
    }

    #[test]
    fn duplicates_and_divided_speakers_are_found() {
        let table = "id,path,speaker,split\n1,a,s,train\n2,b,s,\n1,c,t,test\n3,d,s,test\n";
        assert_eq!(
            codes(table),
            [(Some(3), "duplicate_id".into()), (Some(4), "speaker_split".into())]
        );
    }

    #[test]
    fn an_empty_table_is_a_problem() {
        assert_eq!(codes("id,path\n"), [(None, "no_rows".into())]);
    }
}
