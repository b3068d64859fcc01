//! applicationHost.config → settings of a pool.

use std::collections::BTreeMap;

use crate::decode::decode;
use crate::error::ConfigError;
use crate::rules::{RULES, SCHEDULE_KEY};
use crate::scan::scan;
use crate::settings::PoolSettings;

/// A pool as a file sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// What is in force.
    pub settings: PoolSettings,
    /// Where each setting comes from, by its path below the pool, for example
    /// `recycling.periodicRestart.time`. Every setting but the name is there.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What the pool's elements and `applicationPoolDefaults` hold that IIS refuses and that does not
    /// hinder reading, a bounded number of each.
    pub refused: Vec<Refused>,
}

/// Something that IIS refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// From 1.
    pub line: usize,
    /// `element@attribute`, or the element alone.
    pub place: String,
    /// What it is.
    pub kind: RefusedKind,
}

/// Kinds of [`Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// An attribute that IIS does not have at its place. It is not read.
    Attribute,
    /// An element that IIS does not have at its place. It is not read.
    Element,
    /// A time of a schedule with seconds. The schema's times are of whole minutes.
    Seconds,
    /// `configSource`, which names another file. IIS has it on sections only, and the elements of a pool
    /// are parts of a section.
    ConfigSource,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The IIS schema's default.
    Schema,
    /// `applicationPoolDefaults`.
    Defaults {
        /// Line of the attribute, or of `<schedule>`.
        line: usize,
    },
    /// The pool's own element.
    Pool {
        /// Line of the attribute, or of `<schedule>`.
        line: usize,
    },
}

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
