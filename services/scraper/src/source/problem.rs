//! What is wrong with a source file, told with the line and the key.

use std::{
    cell::RefCell,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// One thing that is wrong with a source file or with the folder of source files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// The file or the folder could not be read.
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The file says something that cannot be.
    Invalid {
        /// Which file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, what is wrong with it, and a hint where there is one.
        message: String,
    },
    /// Two files define a source of the same key.
    Duplicate {
        /// The second file, in the order of their names.
        file: PathBuf,
        /// The first file.
        first: PathBuf,
        /// The key.
        key: String,
    },
}

impl LoadError {
    /// The file that is wrong.
    pub fn file(&self) -> &Path {
        match self {
            Self::Unreadable { file, .. } | Self::Invalid { file, .. } | Self::Duplicate { file, .. } => file,
        }
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => write!(f, "{}: {reason}", file.display()),
            Self::Invalid { file, line, message } => write!(f, "{}:{line}: {message}", file.display()),
            Self::Duplicate { file, first, key } => write!(
                f,
                "{}: the key {key:?} is taken by {}",
                file.display(),
                first.display()
            ),
        }
    }
}

/// Collects what is wrong with one file, so that its author sees all of it at once.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    file: &'t Path,
    text: &'t str,
    found: RefCell<Vec<LoadError>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: RefCell::default(),
        }
    }

    /// Notes a problem at a place of the text.
    pub(super) fn add(&self, at: &Range<usize>, message: String) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        self.found.borrow_mut().push(LoadError::Invalid {
            file: self.file.to_owned(),
            line,
            message,
        });
    }

    /// Notes what was found in another file.
    pub(super) fn absorb(&self, found: Vec<LoadError>) {
        self.found.borrow_mut().extend(found);
    }

    /// Everything that was noted, ordered by line.
    pub(super) fn into_found(self) -> Vec<LoadError> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| match problem {
            LoadError::Invalid { line, .. } => *line,
            LoadError::Unreadable { .. } | LoadError::Duplicate { .. } => 0,
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_with_their_line_in_the_order_of_lines() {
        let problems = Problems::new(Path::new("a.toml"), "one\ntwo\nthree\n");
        problems.add(&(8..9), "late".to_owned());
        problems.add(&(0..1), "early".to_owned());
        let texts: Vec<_> = problems.into_found().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a.toml:1: early", "a.toml:3: late"]);
    }
}
