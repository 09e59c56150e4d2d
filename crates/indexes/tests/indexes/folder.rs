//! Folders as a process or a machine leaves them when it dies.

use std::path::{Path, PathBuf};

/// Copies a folder as it lies there, without the zeros that files are filled up with.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let mut bytes = std::fs::read(entry.path()).unwrap();
            if target.extension().is_some_and(|kind| kind == "jnl") {
                bytes.truncate(written(&bytes));
            }
            std::fs::write(target, bytes).unwrap();
        }
    }
}

/// How much of a file is more than filling.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// All files below a folder whose names end so, largest last.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), ending));
        } else if entry.path().to_string_lossy().ends_with(ending) {
            found.push(entry.path());
        }
    }
    found.sort_by_key(|file| std::fs::metadata(file).unwrap().len());
    found
}

/// Takes the last bytes of what was written away, as a torn write does.
pub(crate) fn tear(file: &Path, bytes: usize) {
    let mut content = std::fs::read(file).unwrap();
    content.truncate(written(&content).saturating_sub(bytes));
    std::fs::write(file, content).unwrap();
}
