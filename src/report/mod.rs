//! Run directory → what people and machines read. Knows no live state: a run that is over and one
//! that was killed are reported by the same code.

mod record;
mod sarif;
mod text;

pub use record::{RecordError, RunRecord, RunState, SCHEMA_VERSION};
pub use sarif::sarif;
pub use text::{Progress, plan_text, say, summary_text};
