//! What a source file refers to outside of itself: environment variables, files with secrets, included files.

use super::Lookup;
use std::{
    cell::RefCell,
    path::{Component, Path, PathBuf},
};

/// The largest file that a source file may refer to.
const FILE_MAX: u64 = 1 << 20;

/// What surrounds one source file. Remembers which files were read, so that a change of one of them is noticed.
pub(super) struct Surroundings<'a> {
    file: &'a Path,
    lookup: Lookup<'a>,
    read: RefCell<Vec<PathBuf>>,
    /// The texts of included files, which are part of the definition. Secrets are not.
    included: RefCell<String>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(file: &'a Path, lookup: Lookup<'a>) -> Self {
        Self {
            file,
            lookup,
            read: RefCell::default(),
            included: RefCell::default(),
        }
    }

    /// The value that stands for `${NAME}` or `${file:PATH}`; an empty one counts as none.
    pub(super) fn value(&self, name: &str) -> Result<Option<String>, String> {
        let Some(path) = name.strip_prefix("file:") else {
            return Ok((self.lookup)(name).filter(|value| !value.is_empty()));
        };
        let path = self.folder().join(path);
        match self.text(&path) {
            Ok(text) => Ok(Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Reads a file that belongs to the definition: in the folder of the source file or below it.
    pub(super) fn include(&self, path: &str) -> Result<(PathBuf, String), String> {
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if path.is_empty() || !Path::new(path).components().all(inside) {
            return Err(format!(
                "{path:?} must be a path below the folder of this file, without .."
            ));
        }
        let path = self.folder().join(path);
        let text = self
            .text(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.included.borrow_mut().push_str(&text);
        Ok((path, text))
    }

    /// The texts of included files so far.
    pub(super) fn with_included<T>(&self, look: impl FnOnce(&str) -> T) -> T {
        look(&self.included.borrow())
    }

    /// The files that were asked for, there or not.
    pub(super) fn into_read(self) -> Vec<PathBuf> {
        self.read.into_inner()
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    fn text(&self, path: &Path) -> std::io::Result<String> {
        self.read.borrow_mut().push(path.to_owned());
        if std::fs::metadata(path)?.len() > FILE_MAX {
            return Err(std::io::Error::other("larger than 1 MiB"));
        }
        std::fs::read_to_string(path)
    }
}
