//! What a verb answers: one JSON document on standard output, or text for people.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
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
        self.bytes(format!("{answer}\n").as_bytes())
    }

    /// Answers with some text as it is.
    pub fn bytes(self, answer: &[u8]) -> Result<()> {
        let mut stdout = std::io::stdout();
        match stdout.write_all(answer).and_then(|()| stdout.flush()) {
            // Whoever closed the pipe has seen enough.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("write the answer to standard output")
            }
            _ => Ok(()),
        }
    }
}

impl Output {
    /// Says why there is no answer.
    pub fn error(self, message: &str) {
        say!("error: {message}");
        if self.json {
            document(message);
        }
    }
}

/// Says why there is no answer, under `--json`.
pub fn document(message: &str) {
    let document = serde_json::json!({ "error": { "message": message } });
    let _ = writeln!(std::io::stdout(), "{document}");
}

/// Makes sure that [`write_file`] will find a place, before the work for it is done.
pub fn check_place(path: &Path) -> Result<()> {
    // A device would be replaced by the file.
    if path.exists() && !path.is_file() {
        bail!("{} is not a file: name one that may be replaced, or a new one", path.display());
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!(
            "there is no folder {} to write {} into: make it first",
            folder.display(),
            path.display()
        );
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file whole or not at all.
pub fn write_file(path: &Path, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
    let context = || format!("write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".voxage-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder_of(path))
        .with_context(context)?;
    write(file.as_file_mut()).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).map_err(|error| error.error).with_context(context)?;
    Ok(())
}
