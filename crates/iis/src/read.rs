//! applicationHost.config → settings of a pool.

use crate::decode::decode;
use crate::error::ConfigError;
use crate::pool::{Origin, Pool};
use crate::rules::{RULES, SCHEDULE_KEY};
use crate::scan::scan;
use crate::settings::PoolSettings;

/// Reads the settings of a pool, whose name may be given in any letter case, from an
/// applicationHost.config. `file` is the file's name in messages.
///
/// Other pools and what IIS has besides the settings of [`PoolSettings`] are not checked.
///
/// # Errors
/// With every mistake of the pool and of `applicationPoolDefaults`; if the file is not such a
/// configuration, or keeps its pools elsewhere or encrypted; and if it does not have the pool.
pub fn read_pool(file: &str, bytes: &[u8], pool: &str) -> Result<Pool, ConfigError> {
    let text = decode(file, bytes)?;
    let found = scan(&text, pool);
    let mut problems = found.problems;
    let keys = RULES.iter().map(|rule| rule.key).chain([SCHEDULE_KEY]);
    let mut read = Pool {
        settings: PoolSettings::default(),
        origins: keys.map(|key| (key, Origin::Schema)).collect(),
        refused: Vec::new(),
    };
    let from_defaults = |line| Origin::Defaults { line };
    found
        .defaults
        .apply(&mut read, from_defaults, &mut problems);
    read.refused = found.defaults.refused;
    if let Some((name, mut layer)) = found.pool {
        read.settings.name = name;
        read.refused.append(&mut layer.refused);
        layer.apply(&mut read, |line| Origin::Pool { line }, &mut problems);
    }
    if problems.is_empty() {
        Ok(read)
    } else {
        Err(ConfigError::new(file, &text, problems))
    }
}
