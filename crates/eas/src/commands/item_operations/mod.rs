mod answer;
mod request;

pub use answer::{
    ConversationMoveAnswer, EmptyFolderContentsAnswer, FetchAnswer, FetchedContent,
    ItemOperationsAnswer,
};
pub use request::{ConversationMove, EmptyFolderContents, Fetch, ItemOperationsRequest};
