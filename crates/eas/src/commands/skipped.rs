use std::fmt;

use crate::wbxml::{DecodeError, Element, Reader};

/// The items of an answer that the decoder skipped because they do not fit the schema. The other
/// items are in the answer, as on a phone, which does not refuse a mailbox for one bad message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Number of skipped items.
    pub count: usize,
    /// Why the first of them was skipped.
    pub first: Option<DecodeError>,
}

impl Skipped {
    /// Whether every item was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Consumes one item; `None`, and counted, if it does not fit the schema.
    ///
    /// # Errors
    /// When the document is broken inside the item.
    pub(super) fn item<'a, T>(
        &mut self,
        reader: &mut Reader<'a>,
        element: Element,
        read: impl FnOnce(&mut Reader<'a>, Element) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match reader.attempt(element, read)? {
            Ok(item) => Ok(Some(item)),
            Err(error) => {
                self.count += 1;
                self.first.get_or_insert(error);
                Ok(None)
            }
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = if self.count == 1 { "item" } else { "items" };
        write!(formatter, "skipped {} bad {items}", self.count)?;
        match &self.first {
            Some(error) => write!(formatter, ": {error}"),
            None => Ok(()),
        }
    }
}
