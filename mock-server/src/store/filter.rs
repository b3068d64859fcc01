//! The filter of a collection (ASCMD 2.2.3.68.2): which items a device may see.

use eas::commands::{Class, FilterType, ItemData};
use jiff::{Span, Zoned};

/// What a device may see of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    /// Everything.
    All,
    /// Messages received since, and appointments that end since, as `20260314T030000`.
    Since(String),
    /// Tasks that are not done.
    Incomplete,
}

impl Filter {
    /// The filter of that type, where the class has it.
    pub(super) fn new(filter: Option<FilterType>, class: Option<Class>, now: &Zoned) -> Self {
        let span = match (filter.map_or(0, |filter| filter.0), class) {
            (8, Some(Class::Tasks)) => return Self::Incomplete,
            (_, None | Some(Class::Contacts | Class::Notes | Class::Tasks)) => return Self::All,
            (1, _) => Span::new().days(1),
            (2, _) => Span::new().days(3),
            (3, _) => Span::new().weeks(1),
            (4, _) => Span::new().weeks(2),
            (5, _) => Span::new().months(1),
            (6, _) => Span::new().months(3),
            (7, _) => Span::new().months(6),
            _ => return Self::All,
        };
        match now.checked_sub(span) {
            Ok(since) => Self::Since(since.strftime("%Y%m%dT%H%M%S").to_string()),
            // Only in the first days of the calendar.
            Err(_) => Self::All,
        }
    }

    /// Whether an item is inside. What names no time is.
    pub(super) fn holds(&self, data: &ItemData<'_>) -> bool {
        let since = match self {
            Self::All => return true,
            Self::Incomplete => return !matches!(data, ItemData::Task(task) if task.complete),
            Self::Since(since) => since,
        };
        let is_since = |time: &str| time.is_empty() || compact(time) >= *since;
        match data {
            ItemData::Email(email) => is_since(&email.date_received),
            ItemData::Calendar(one) => {
                let end = match &*one.end {
                    "" => &*one.start,
                    end => end,
                };
                let series = one.recurrence.as_ref();
                let last = series.map(|series| series.until.as_deref().unwrap_or_default());
                is_since(end) || last.is_some_and(is_since)
            }
            _ => true,
        }
    }
}

/// The two forms of a time (ASDTYPE 2.7.2) in one that compares as text, without the fraction.
fn compact(time: &str) -> String {
    let digits = time.chars().filter(|one| !matches!(one, '-' | ':'));
    digits.take("20260314T030000".len()).collect()
}
