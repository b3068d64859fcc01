//! Run directory → what people and machines read. Knows no live state: a run that is over and one
//! that was killed are reported by the same code.

mod changes;
mod record;
mod sarif;
mod text;

pub use changes::{changes_markdown, changes_text};
pub use record::{RecordError, RunRecord, RunState, SCHEMA_VERSION, digest};
pub use sarif::sarif;
pub use text::{Progress, plan_text, summary_text};
