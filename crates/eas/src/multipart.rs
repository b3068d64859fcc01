//! The answer of ItemOperations in several parts (ASCMD 2.2.1.10.1): a table of offsets and lengths, the
//! document, and the data that the document refers to.

use crate::wbxml::{EncodeError, item_operations};

/// A number of the table: little-endian, 32 bits.
const NUMBER: usize = 4;

/// Why a body is no answer in several parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// The table is longer than the body.
    #[error("the body of {0} bytes ends inside its table of parts")]
    Truncated(usize),
    /// A part lies outside of the body.
    #[error("part {0} lies outside of the body")]
    OutOfBounds(usize),
}

/// A body of these parts.
///
/// # Errors
/// When it would be longer than an offset can say.
pub(crate) fn write(parts: &[Vec<u8>]) -> Result<Vec<u8>, EncodeError> {
    let number = |value: usize| {
        let value = u32::try_from(value);
        value.map_err(|_| EncodeError::TooLong(item_operations::PART))
    };
    let mut offset = NUMBER * (1 + 2 * parts.len());
    let mut body = number(parts.len())?.to_le_bytes().to_vec();
    for part in parts {
        body.extend(number(offset)?.to_le_bytes());
        body.extend(number(part.len())?.to_le_bytes());
        offset += part.len();
    }
    body.extend(parts.iter().flatten());
    Ok(body)
}

/// The parts of a body, the document first.
///
/// # Errors
/// When its table or a part of it lies outside of the body.
pub fn read(body: &[u8]) -> Result<Vec<&[u8]>, MultipartError> {
    let truncated = || MultipartError::Truncated(body.len());
    let number = |at: usize| {
        let bytes = body.get(at..at + NUMBER)?;
        let value = u32::from_le_bytes(bytes.try_into().ok()?);
        usize::try_from(value).ok()
    };
    let count = number(0).ok_or_else(truncated)?;
    // A count beyond the body must not reserve memory.
    if count > body.len() / (2 * NUMBER) {
        return Err(truncated());
    }
    (0..count)
        .map(|index| {
            let at = NUMBER * (1 + 2 * index);
            let offset = number(at).ok_or_else(truncated)?;
            let length = number(at + NUMBER).ok_or_else(truncated)?;
            let end = offset.checked_add(length);
            let part = end.and_then(|end| body.get(offset..end));
            part.ok_or(MultipartError::OutOfBounds(index))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_offsets_from_the_start_of_the_body() {
        let body = write(&[b"abc".to_vec(), Vec::new(), b"de".to_vec()]).unwrap();
        let table = [3, 28, 3, 31, 0, 31, 2_u32];
        let table: Vec<u8> = table.iter().flat_map(|one| one.to_le_bytes()).collect();
        assert_eq!(body[..28], table);
        assert_eq!(body[28..], *b"abcde");
        assert_eq!(read(&body).unwrap(), [&b"abc"[..], b"", b"de"]);
    }

    #[test]
    fn damaged_tables_are_refused() {
        let good = write(&[b"abc".to_vec()]).unwrap();
        for (at, value, error) in [
            (0, 2, MultipartError::Truncated(15)),
            (0, u32::MAX, MultipartError::Truncated(15)),
            (4, u32::MAX, MultipartError::OutOfBounds(0)),
            (8, 4, MultipartError::OutOfBounds(0)),
        ] {
            let mut damaged = good.clone();
            damaged[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            assert_eq!(read(&damaged), Err(error), "{value} at {at}");
        }
        for length in 0..12 {
            let cut = &good[..length];
            assert_eq!(read(cut), Err(MultipartError::Truncated(length)));
        }
    }
}
