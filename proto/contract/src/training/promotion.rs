//! Which version of a model predicts.

use serde::{Deserialize, Serialize};

/// A version becomes the champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its number.
    pub version: u64,
    /// When, in seconds since 1970.
    pub at_unix_s: i64,
    /// By whom.
    pub reason: Reason,
    /// What the gate said, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<serde_json::Value>,
}

/// By whom a version was promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// By a schedule, after the gate let it pass.
    Gate,
    /// By a person.
    Hand,
    /// By a person who takes the promotion of before back.
    Rollback,
}
