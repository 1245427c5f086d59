//! What is wrong with a manifest, said so that its author can mend it.

use std::fmt;

use serde::Serialize;

/// What a problem costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing: the value is left out.
    Warning,
    /// The recording: it becomes a reject.
    Reject,
    /// The manifest: a submission of it is refused.
    Structure,
}

/// One problem of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Row of data, 1 for the first below the header; none if it is the whole table's.
    pub row: Option<u64>,
    /// The column, as the manifest names it; none if it is the whole row's.
    pub column: Option<String>,
    /// Stable reason code.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
    /// What it costs.
    pub severity: Severity,
}

impl Problem {
    pub(crate) fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        Self { row: None, column: None, code: code.into(), message: message.into(), severity }
    }

    /// A problem with a recording's audio, found by looking at it.
    pub fn audio(row: u64, column: &str, code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Reject, code, message).at(row, Some(column))
    }

    pub(crate) fn at(mut self, row: u64, column: Option<&str>) -> Self {
        self.row = Some(row);
        self.column = column.map(str::to_owned);
        self
    }

    pub(crate) fn of_column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.row, &self.column) {
            (Some(row), Some(column)) => write!(f, "row {row}, column {column}: ")?,
            (Some(row), None) => write!(f, "row {row}: ")?,
            (None, Some(column)) => write!(f, "column {column}: ")?,
            (None, None) => {}
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}
