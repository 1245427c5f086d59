//! What a verb answers: one JSON document on standard output, or text for people.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// How to answer.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
}

impl Output {
    /// Answers.
    pub fn answer(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let answer = if self.json {
            serde_json::to_string_pretty(document)?
        } else {
            text().trim_end().to_owned()
        };
        // Whoever closed the pipe has seen enough.
        let _ = writeln!(std::io::stdout(), "{answer}");
        Ok(())
    }
}

/// Writes a file whole or not at all.
pub fn write_file(path: &Path, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let context = || format!("write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".voxage-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(context)?;
    write(file.as_file_mut()).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).map_err(|error| error.error).with_context(context)?;
    Ok(())
}
