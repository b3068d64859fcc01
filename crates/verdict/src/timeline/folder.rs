//! Where a run keeps its files: in a directory, or in memory if nobody is to read them after the run. A run knows no
//! more of the disk than this.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// The files of one run.
pub trait Folder: Debug + Send + Sync + 'static {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Makes a file that grows at its end and can be read meanwhile.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    fn create(&self, name: &str) -> io::Result<Box<dyn GrowingFile>>;

    /// Puts a whole file in the place of the one of that name. Readers see the old or the new one, and the new one
    /// survives a loss of power when this returns.
    ///
    /// # Errors
    /// When it cannot be written. Then the old one stays.
    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()>;
}

/// A file that grows at its end.
pub trait GrowingFile: Write + Debug + Send {
    /// Its size in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    fn size(&self) -> io::Result<u64>;

    /// What is in it, from its beginning. It can be read even if somebody has removed the folder.
    ///
    /// # Errors
    /// When it cannot be read.
    fn reader(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// A folder on disk.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Makes a new directory of that name in `runs`, with a number behind the name if it is taken: two runs may begin
    /// in the same second.
    ///
    /// # Errors
    /// When it cannot be made; with its path.
    pub fn create(runs: &Path, name: &str) -> Result<Self, (PathBuf, io::Error)> {
        let mut directory = runs.join(name);
        let mut number = 2;
        loop {
            let made = std::fs::create_dir_all(runs).and_then(|()| std::fs::create_dir(&directory));
            match made {
                Ok(()) => return Ok(Self(directory)),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && directory.exists() =>
                {
                    directory = runs.join(format!("{name}-{number}"));
                    number += 1;
                }
                Err(error) => return Err((directory, error)),
            }
        }
    }

    /// Finds out whether directories can be made in a folder: one is made and removed.
    ///
    /// # Errors
    /// When they cannot.
    pub fn can_be_made(runs: &Path) -> io::Result<()> {
        // The folder may not be there yet: then its nearest parent must allow it.
        let existing = runs.ancestors().find(|folder| folder.exists());
        let existing = existing
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        tempfile::tempdir_in(existing).map(drop)
    }
}

impl Folder for Directory {
    fn path(&self) -> &Path {
        &self.0
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn GrowingFile>> {
        let mut options = OpenOptions::new();
        let file = options.create_new(true).read(true).append(true);
        Ok(Box::new(file.open(self.0.join(name))?))
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.0.join(format!(".{name}.tmp"));
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&temporary, self.0.join(name))
        };
        write().inspect_err(|_| {
            // A part of it would only take room from what is measured; it may not even be there.
            let _ = std::fs::remove_file(&temporary);
        })
    }
}

impl GrowingFile for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|about| about.len())
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut file = self.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Box::new(file))
    }
}

/// A folder that is gone after the run.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    files: Mutex<BTreeMap<String, Content>>,
}

/// What is in a file; shared with who writes it.
type Content = Arc<Mutex<Vec<u8>>>;

impl Memory {
    /// An empty one. Messages call it by that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            path: Path::new("memory").join(name),
            files: Mutex::default(),
        }
    }
}

impl Folder for Memory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn GrowingFile>> {
        let mut files = self.files.lock();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        files.insert(name.to_owned(), Arc::clone(&content));
        Ok(Box::new(InMemory(content)))
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let content = Arc::new(Mutex::new(content.to_vec()));
        self.files.lock().insert(name.to_owned(), content);
        Ok(())
    }
}

#[derive(Debug)]
struct InMemory(Content);

impl Write for InMemory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl GrowingFile for InMemory {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.0.lock().clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(file: &dyn GrowingFile) -> String {
        let mut text = String::new();
        file.reader().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn folders_on_disk_and_in_memory_keep_the_same_promises() {
        let runs = tempfile::tempdir().unwrap();
        let on_disk = Directory::create(runs.path(), "run").unwrap();
        let folders: [&dyn Folder; 2] = [&on_disk, &Memory::new("run")];
        for folder in folders {
            assert!(folder.path().ends_with("run"));
            let mut file = folder.create("timeline").unwrap();
            file.write_all(b"one").unwrap();
            assert_eq!(content(&*file), "one");
            file.write_all(b" two").unwrap();
            assert_eq!(content(&*file), "one two");
            assert_eq!(file.size().unwrap(), 7);
            let again = folder.create("timeline").unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            folder.replace("record", b"old").unwrap();
            folder.replace("record", b"new").unwrap();
        }
        let record = std::fs::read(on_disk.path().join("record")).unwrap();
        assert_eq!(record, b"new");
    }

    #[test]
    fn runs_that_begin_at_the_same_moment_get_directories_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let make = || Directory::create(&runs, "run").unwrap().path().to_owned();
        let mut made: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            let made = threads.into_iter().map(|thread| thread.join().unwrap());
            made.collect()
        });
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), 8);
        // A file in place of the folder is an error.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (path, _) = Directory::create(&file, "run").unwrap_err();
        assert_eq!(path, file.join("run"));
    }
}
