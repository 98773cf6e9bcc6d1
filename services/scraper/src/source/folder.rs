//! A folder of source files: taken whole or not at all.

use super::{LoadError, Lookup, Source, surroundings::Surroundings};
use oddswire_protocol::SourceKey;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What came of reading source files.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The sources, ordered by key; or everything that is wrong with any of the files.
    pub(crate) sources: Result<Vec<Arc<Source>>, Vec<LoadError>>,
    /// All files that were looked at, those that they refer to among them, there or not.
    pub(crate) files: Vec<PathBuf>,
}

/// Reads one file; also gives the files that it refers to.
pub(super) fn load(file: &Path, lookup: Lookup<'_>) -> (Result<Source, Vec<LoadError>>, Vec<PathBuf>) {
    let around = Surroundings::new(file, lookup);
    let source = match std::fs::read_to_string(file) {
        Ok(text) => Source::parse_around(&around, file, &text),
        Err(error) => Err(vec![unreadable(file, &error)]),
    };
    (source, around.into_read())
}

/// Reads all `*.toml` files that are directly in `dir`, ordered by the key of the source. Blocks on the disk.
///
/// # Errors
/// Everything that is wrong with any of them, and every key that two files claim: all are good or none is taken.
pub fn load_dir(dir: &Path, lookup: Lookup<'_>) -> Result<Vec<Arc<Source>>, Vec<LoadError>> {
    load_files(dir, lookup).sources
}

/// Reads the source files of a folder, or one file. Blocks on the disk.
pub(crate) fn load_files(path: &Path, lookup: Lookup<'_>) -> Loaded {
    let mut files = match definitions(path) {
        Ok(files) => files,
        Err(error) => {
            return Loaded {
                sources: Err(vec![unreadable(path, &error)]),
                files: Vec::new(),
            };
        }
    };
    let mut problems = Vec::new();
    let mut referred = Vec::new();
    let mut sources: BTreeMap<SourceKey, (PathBuf, Arc<Source>)> = BTreeMap::new();
    for file in &files {
        let (source, read) = load(file, lookup);
        referred.extend(read);
        match source {
            Err(found) => problems.extend(found),
            Ok(source) => match sources.get(&source.key) {
                Some((first, _)) => problems.push(LoadError::Duplicate {
                    first: first.clone(),
                    file: file.clone(),
                    key: source.key.to_string(),
                }),
                None => {
                    sources.insert(source.key.clone(), (file.clone(), Arc::new(source)));
                }
            },
        }
    }
    files.extend(referred);
    let sources = if problems.is_empty() {
        Ok(sources.into_values().map(|(_, source)| source).collect())
    } else {
        Err(problems)
    };
    Loaded { sources, files }
}

/// The source files of a folder, in the order of their names; a file is its own.
pub(crate) fn definitions(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?;
    let files = entries.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

fn unreadable(file: &Path, error: &std::io::Error) -> LoadError {
    LoadError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    }
}
