//! Events → per-second histograms and counts, and the mail ledger, in constant memory. Knows no verdicts.

mod ledger;
mod recorder;
mod slow;
mod waiting;

pub use ledger::{Ledger, MailId, Marker};
pub use recorder::{Recorder, Sending};
