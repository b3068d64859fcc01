//! Files that a scenario or a command names.

use std::fs::File;
use std::io::{Error, Read as _, Result};
use std::path::Path;

use text::decode;

/// An applicationHost.config of a large server has some 100 kB, a list of 100,000 users some 3 MB.
const MOST: u64 = 16 << 20;

/// Reads a text: a scenario, or passwords. It may come from a pipe. Byte order marks and UTF-16 are understood.
///
/// # Errors
/// When it cannot be read, is too large, or is no text. Nothing of the file is in the error.
pub fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    bounded(&bytes)?;
    decode(&bytes).map_err(Error::other)
}

fn bounded(bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 > MOST {
        return Err(Error::other(format!(
            "has more than {MOST} bytes, and is not what was expected"
        )));
    }
    Ok(())
}

/// Reads a whole file. A device or a pipe would never end, and is refused.
///
/// # Errors
/// When it cannot be read, is no file, or is too large to be one.
pub fn read_config(path: &Path) -> Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(Error::other("expected a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    bounded(&bytes)?;
    Ok(bytes)
}
