//! The repository's own text.

use crate::process;
use anyhow::Result;
use std::fs;

/// A file of the repository.
#[derive(Debug)]
pub(super) struct Text {
    /// From the top, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
}

/// Every file that git tracks or would track, as far as it is text.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) files: Vec<Text>,
}

impl Tree {
    /// As it lies on disk now.
    pub(super) fn read() -> Result<Self> {
        let listed = process::capture(process::command("git").args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let files = listed
            .split_terminator('\0')
            .filter_map(|path| {
                // A file that is gone and a binary one have no text.
                let text = fs::read_to_string(process::root().join(path)).ok()?;
                Some(Text {
                    path: path.to_owned(),
                    text,
                })
            })
            .collect();
        Ok(Self { files })
    }

    /// Only Rust.
    pub(super) fn rust(&self) -> impl Iterator<Item = &Text> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

impl Text {
    /// Whether it is a source of Rust.
    pub(super) fn is_rust(&self) -> bool {
        std::path::Path::new(&self.path)
            .extension()
            .is_some_and(|end| end == "rs")
    }

    /// Its lines from 1, without those that are only a comment of Rust.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Its lines from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// How a line is named in a report.
    pub(super) fn at(&self, number: usize, line: &str) -> String {
        format!("{}:{number}: {}", self.path, line.trim())
    }
}

#[cfg(test)]
impl Tree {
    /// Made up, for tests.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| Text {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self {
            files: files.iter().map(file).collect(),
        }
    }
}
