//! Files that a scenario or a command names.

use std::fs::File;
use std::io::{Error, Read as _, Result};
use std::path::Path;

/// An applicationHost.config of a large server has some 100 kB, a list of 100,000 users some 3 MB.
const MOST: u64 = 16 << 20;

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
    if bytes.len() as u64 > MOST {
        return Err(Error::other(format!(
            "has more than {MOST} bytes, and is not what was expected"
        )));
    }
    Ok(bytes)
}
