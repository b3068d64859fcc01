//! The timeline on disk: one JSON line a second, written as the run goes, so that a killed run can
//! be reported.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::interval::Interval;

/// Why files of a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// The operating system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path}:{line}: expected one interval as JSON: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// The files of a run that is under way.
#[derive(Debug)]
pub struct RunFiles {
    directory: PathBuf,
    timeline: File,
}

impl RunFiles {
    /// The timeline's name in a run directory.
    pub const TIMELINE: &str = "timeline.jsonl";

    /// Makes the directory and an empty timeline.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn create(directory: &Path) -> Result<Self, TimelineError> {
        std::fs::create_dir_all(directory).map_err(|source| TimelineError::Io {
            path: directory.to_owned(),
            source,
        })?;
        let path = directory.join(Self::TIMELINE);
        let timeline = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(|source| TimelineError::Io { path, source })?;
        Ok(Self {
            directory: directory.to_owned(),
            timeline,
        })
    }

    /// The run directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends an interval in one write, so that a killed run ends with a whole line or a cut one.
    ///
    /// # Errors
    /// When it cannot be written, for example because the disk is full.
    pub fn append(&mut self, interval: &Interval) -> Result<(), TimelineError> {
        let path = self.directory.join(Self::TIMELINE);
        let mut line = serde_json::to_vec(interval).map_err(|error| TimelineError::Io {
            path: path.clone(),
            source: error.into(),
        })?;
        line.push(b'\n');
        self.timeline
            .write_all(&line)
            .map_err(|source| TimelineError::Io { path, source })
    }

    /// Writes a JSON file beside the timeline: to a temporary name, then renamed, so that readers
    /// see the old or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TimelineError> {
        let path = self.directory.join(name);
        let temporary = self.directory.join(format!(".{name}.tmp"));
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec_pretty(value)?;
            text.push(b'\n');
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(|source| TimelineError::Io {
            path: path.clone(),
            source,
        })
    }
}

/// Reads a timeline. A last line that was cut short by a kill is passed over.
///
/// # Errors
/// When the file cannot be read, or a line before the last is broken.
pub fn read_timeline(directory: &Path) -> Result<Vec<Interval>, TimelineError> {
    let path = directory.join(RunFiles::TIMELINE);
    let io = |source| TimelineError::Io {
        path: path.clone(),
        source,
    };
    let mut lines = BufReader::new(File::open(&path).map_err(io)?)
        .lines()
        .enumerate()
        .peekable();
    let mut intervals = Vec::new();
    while let Some((index, line)) = lines.next() {
        match serde_json::from_str(&line.map_err(io)?) {
            Ok(interval) => intervals.push(interval),
            Err(_) if lines.peek().is_none() => break,
            Err(error) => {
                return Err(TimelineError::Line {
                    path,
                    line: index + 1,
                    message: error.to_string(),
                });
            }
        }
    }
    Ok(intervals)
}
