//! Run directory → what people and machines read. Knows no live state: a run that is over and one
//! that was killed are reported by the same code.

mod changes;
mod junit;
mod plan;
mod record;
mod sarif;
mod seeds;
mod source;
mod summary;
mod text;
mod timeline;

pub use changes::{changes_markdown, changes_text};
pub use junit::junit;
pub use plan::{UNVERIFIED, plan_text};
pub use record::{RecordError, RunRecord, RunState, SCHEMA_VERSION, digest};
pub use sarif::sarif;
pub use seeds::{CheckOutcome, SeedOutcome, SeedOutcomes};
pub use source::SourceReport;
pub use summary::{annotations, summary_markdown};
pub use text::{Progress, summary_text};
pub use timeline::{timeline_csv, timeline_hlog};
