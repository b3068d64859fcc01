//! Which options of a Sync a class of items has.

use eas::commands::{Class, FilterType};

use super::SyncPart;

/// Whether the class of a folder has the options of a request. A folder without a class takes all.
pub(super) fn are_allowed(part: &SyncPart, class: Option<Class>) -> bool {
    let filter = part.options.as_ref().and_then(|options| options.filter);
    let has_filter = filter.is_none_or(|filter| has_filter(class, filter));
    // ASCMD 2.2.3.35.2
    let has_conversations = matches!(class, None | Some(Class::Email));
    has_filter && (has_conversations || !part.has_conversation_mode)
}

/// ASCMD 2.2.3.68.2. Contacts and notes have no filter, and a request that names one is no error.
fn has_filter(class: Option<Class>, filter: FilterType) -> bool {
    match class {
        Some(Class::Email) => matches!(filter.0, 0..=5),
        Some(Class::Calendar) => matches!(filter.0, 0 | 4..=7),
        Some(Class::Tasks) => matches!(filter.0, 0 | 8),
        Some(Class::Contacts | Class::Notes) | None => is_filter(filter),
    }
}

/// Whether a class has that filter.
pub(super) fn is_filter(filter: FilterType) -> bool {
    matches!(filter.0, 0..=8)
}
