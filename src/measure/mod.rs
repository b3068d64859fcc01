//! Events → per-second histograms and counts, and the mail ledger, in constant memory; the
//! files of a run. Knows no verdicts.

mod folder;
mod interval;
mod ledger;
mod metric;
mod recorder;
mod slow;
mod timeline;
mod waiting;

pub use folder::{Directory, Folder, GrowingFile, Memory};
pub use interval::{Gauges, Interval, Latency, LedgerCounts, MAILS_DUE, SLOW_USERS, rounded};
pub use ledger::{Ledger, MailId, Marker};
pub use metric::{Counter, Metric};
pub use recorder::{Recorder, Sending, Totals};
pub use timeline::{RunFiles, Timeline, TimelineError, Unwritten};
