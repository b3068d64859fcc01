//! The timeline: what a run measured in each second, and the files that hold it.

mod file;
mod folder;
mod interval;
mod totals;

pub use file::{RunFiles, Timeline, TimelineError, Unwritten};
pub use folder::{Directory, Folder, GrowingFile, Memory};
pub use interval::{
    ACTING, Interval, Latency, LedgerCounts, MAILS_DUE, SECOND_PINGS, SENDING, SLOW_USERS, rounded,
};
pub use totals::Totals;
