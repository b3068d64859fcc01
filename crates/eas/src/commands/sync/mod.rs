mod answer;
mod options;
mod request;

pub use answer::{Change, CollectionAnswer, CommandResponse, SyncAnswer};
pub use options::{FilterType, SyncOptions};
pub use request::{ClientCommand, SyncCollection, SyncRequest};
