//! Which file or directory was meant by one that is not there.

use std::path::{Path, PathBuf};

use verdict::report::RunRecord;

/// Where the repository keeps its scenarios.
const SCENARIOS: &str = "scenarios";

/// The scenario that is meant by a path without its folder or its extension, as a hint behind an error; empty if
/// there is none.
pub(super) fn scenario(path: &Path) -> String {
    let mut named = path.as_os_str().to_owned();
    named.push(".toml");
    let named = PathBuf::from(named);
    let folder = Path::new(SCENARIOS);
    let candidates = [named.clone(), folder.join(path), folder.join(named)];
    hint(candidates.into_iter().find(|path| path.is_file()))
}

/// The newest run in a directory that holds runs, as [`scenario`].
pub(super) fn run(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    // Names begin with the time.
    let runs = entries.map(|entry| entry.path());
    hint(
        runs.filter(|path| path.join(RunRecord::FILE).is_file())
            .max(),
    )
}

fn hint(meant: Option<PathBuf>) -> String {
    meant.map_or_else(String::new, |path| {
        format!("; did you mean {}?", path.display())
    })
}
