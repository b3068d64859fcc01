//! A pool as a file sets it, and where each setting comes from.

use std::collections::BTreeMap;

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
