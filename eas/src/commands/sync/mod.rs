mod answer;
mod request;

pub use answer::{Change, CollectionAnswer, CommandResponse, SyncAnswer};
pub use request::{ClientCommand, FilterType, SyncCollection, SyncOptions, SyncRequest};
