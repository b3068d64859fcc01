//! The timeline on disk: one JSON line a second, written as the run goes, so that a killed run can
//! be reported. Lines repeat each other's names, so the file is compressed; each line ends on a
//! byte of its own, and a file that was cut short can be read up to there, by `zcat` too.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::folder::{Directory, Folder, GrowingFile};
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
    folder: Arc<dyn Folder>,
    timeline: GzEncoder<Box<dyn GrowingFile>>,
}

impl RunFiles {
    /// The timeline's name in a run directory.
    pub const TIMELINE: &str = "timeline.jsonl.gz";

    /// Makes an empty timeline in a folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(folder: Arc<dyn Folder>) -> Result<Self, TimelineError> {
        let timeline = folder.create(Self::TIMELINE);
        let timeline = timeline.map_err(|source| TimelineError::Io {
            path: folder.path().join(Self::TIMELINE),
            source,
        })?;
        Ok(Self {
            folder,
            timeline: GzEncoder::new(timeline, Compression::default()),
        })
    }

    /// The run directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// Appends an interval, and brings it to the file: a kill loses what comes after.
    ///
    /// # Errors
    /// When it cannot be written, for example because the disk is full.
    pub fn append(&mut self, interval: &Interval) -> Result<(), TimelineError> {
        let path = self.folder.path().join(Self::TIMELINE);
        let mut line = serde_json::to_vec(interval).map_err(|error| TimelineError::Io {
            path: path.clone(),
            source: error.into(),
        })?;
        line.push(b'\n');
        self.timeline
            .write_all(&line)
            .and_then(|()| self.timeline.flush())
            .map_err(|source| TimelineError::Io { path, source })
    }

    /// Ends the timeline, and gives its size in bytes.
    ///
    /// # Errors
    /// When its end cannot be written.
    pub fn finish(&mut self) -> Result<u64, TimelineError> {
        self.timeline
            .try_finish()
            .and_then(|()| self.timeline.get_ref().size())
            .map_err(|source| TimelineError::Io {
                path: self.folder.path().join(Self::TIMELINE),
                source,
            })
    }

    /// What is in the timeline. It is read from the open file, which is there even if somebody has removed
    /// the run directory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn timeline(&self) -> Result<Timeline, TimelineError> {
        let path = self.folder.path().join(Self::TIMELINE);
        match self.timeline.get_ref().reader() {
            Ok(file) => Ok(Timeline::of(path, file)),
            Err(source) => Err(TimelineError::Io { path, source }),
        }
    }

    /// Finds out whether run directories can be made in a folder: one is made and removed.
    ///
    /// # Errors
    /// When they cannot.
    pub fn can_be_made(runs: &Path) -> Result<(), TimelineError> {
        Directory::can_be_made(runs).map_err(|source| TimelineError::Io {
            path: runs.to_owned(),
            source,
        })
    }

    /// Writes a JSON file beside the timeline. Readers see the old or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TimelineError> {
        self.json(name, value)?.write()
    }

    /// What [`Self::write_json`] writes, for a thread that may wait for the disk.
    ///
    /// # Errors
    /// When the value is none for JSON.
    pub fn json(&self, name: &str, value: &impl Serialize) -> Result<Unwritten, TimelineError> {
        let mut text = serde_json::to_vec_pretty(value).map_err(|error| TimelineError::Io {
            path: self.folder.path().join(name),
            source: error.into(),
        })?;
        text.push(b'\n');
        Ok(Unwritten {
            folder: Arc::clone(&self.folder),
            name: name.to_owned(),
            text,
        })
    }
}

/// A file as it shall be.
#[derive(Debug)]
pub struct Unwritten {
    folder: Arc<dyn Folder>,
    name: String,
    text: Vec<u8>,
}

impl Unwritten {
    /// Writes it and waits for the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(self) -> Result<(), TimelineError> {
        let written = self.folder.replace(&self.name, &self.text);
        written.map_err(|source| TimelineError::Io {
            path: self.folder.path().join(&self.name),
            source,
        })
    }
}

/// The intervals of a timeline, one after the other.
pub struct Timeline {
    path: PathBuf,
    lines: std::io::Lines<BufReader<MultiGzDecoder<Box<dyn Read + Send>>>>,
    number: usize,
    ended: bool,
}

impl Timeline {
    /// Opens the timeline of a run directory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(directory: &Path) -> Result<Self, TimelineError> {
        let path = directory.join(RunFiles::TIMELINE);
        let file = File::open(&path).map_err(|source| TimelineError::Io {
            path: path.clone(),
            source,
        })?;
        Ok(Self::of(path, Box::new(file)))
    }

    fn of(path: PathBuf, file: Box<dyn Read + Send>) -> Self {
        Self {
            path,
            lines: BufReader::new(MultiGzDecoder::new(file)).lines(),
            number: 0,
            ended: false,
        }
    }

    /// Size of the timeline's file in a run directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn size(directory: &Path) -> Result<u64, TimelineError> {
        let path = directory.join(RunFiles::TIMELINE);
        match path.metadata() {
            Ok(about) => Ok(about.len()),
            Err(source) => Err(TimelineError::Io { path, source }),
        }
    }
}

/// An error where a line is broken. The end of a file that a kill cut short is its end.
impl Iterator for Timeline {
    type Item = Result<Interval, TimelineError>;

    fn next(&mut self) -> Option<Self::Item> {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if self.ended {
            return None;
        }
        self.number += 1;
        let line = match self.lines.next()? {
            Ok(line) => line,
            Err(source) => {
                self.ended = true;
                let path = self.path.clone();
                return match source.kind() {
                    // A kill in the first second leaves a file without any line.
                    UnexpectedEof => None,
                    InvalidData | InvalidInput => Some(Err(TimelineError::Line {
                        path,
                        line: self.number,
                        message: format!("the file is broken here: {source}"),
                    })),
                    _ => Some(Err(TimelineError::Io { path, source })),
                };
            }
        };
        match serde_json::from_str(&line) {
            Ok(interval) => Some(Ok(interval)),
            Err(error) => {
                self.ended = true;
                // What was written last may be half a line.
                if error.is_eof() && self.lines.next().is_none_or(|next| next.is_err()) {
                    return None;
                }
                Some(Err(TimelineError::Line {
                    path: self.path.clone(),
                    line: self.number,
                    message: error.to_string(),
                }))
            }
        }
    }
}
