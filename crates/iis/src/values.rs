//! Texts of attributes → values.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil;
use thiserror::Error;

use crate::error::shown;
use crate::settings::{RecycleReason, RecycleReasons};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// What a .NET `TimeSpan` holds, and with it every tool that writes the file. The schema's own
/// bounds are not published.
const MAX_DAYS: u64 = 10_675_199;

/// Why a text is not a value of its type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ValueError {
    #[error("expected true or false, found {}", shown(.0))]
    Boolean(String),
    #[error("expected {expected}, found {}", shown(.found))]
    Choice { expected: String, found: String },
    #[error("expected a whole number from {} to {}, found {}", .bounds.start(), .bounds.end(), shown(.found))]
    Integer {
        bounds: RangeInclusive<u32>,
        found: String,
    },
    #[error(
        "expected a time span hh:mm:ss or d.hh:mm:ss of at most {MAX_DAYS} days, found {}",
        shown(.0)
    )]
    TimeSpan(String),
    #[error("expected a time span of whole minutes, found {}", shown(.0))]
    Minutes(String),
    #[error("expected a time of day from 00:00:00 to 23:59:59, found {}", shown(.0))]
    TimeOfDay(String),
    #[error("expected a comma list of {}, found {}", RecycleReasons::ALL, shown(.0))]
    Reasons(String),
}

/// `true` or `false` in any letter case.
pub(crate) fn boolean(text: &str) -> Result<bool, ValueError> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(ValueError::Boolean(text.to_owned()))
    }
}

/// One of several names, in any letter case.
pub(crate) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, ValueError> {
    let chosen = choices
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        ValueError::Choice {
            expected: names.join(" or "),
            found: text.to_owned(),
        }
    })
}

/// Decimal digits within bounds.
pub(crate) fn integer(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, ValueError> {
    digits(text)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| ValueError::Integer {
            bounds,
            found: text.to_owned(),
        })
}

/// `hh:mm:ss` with any number of hours, or `d.hh:mm:ss`.
pub(crate) fn time_span(text: &str) -> Result<Duration, ValueError> {
    seconds(text)
        .map(Duration::from_secs)
        .ok_or_else(|| ValueError::TimeSpan(text.to_owned()))
}

/// A time span of whole minutes.
pub(crate) fn minutes(text: &str) -> Result<Duration, ValueError> {
    let span = time_span(text)?;
    if span.as_secs().is_multiple_of(MINUTE) {
        Ok(span)
    } else {
        Err(ValueError::Minutes(text.to_owned()))
    }
}

/// `hh:mm:ss` on a 24-hour clock.
pub(crate) fn time_of_day(text: &str) -> Result<civil::Time, ValueError> {
    seconds(text)
        .filter(|seconds| *seconds < DAY)
        .and_then(|seconds| {
            let part = |size: u64, count: u64| i8::try_from(seconds / size % count).ok();
            civil::Time::new(part(HOUR, 24)?, part(MINUTE, 60)?, part(1, 60)?, 0).ok()
        })
        .ok_or_else(|| ValueError::TimeOfDay(text.to_owned()))
}

/// Names with commas between them and blanks anywhere; an empty text is the empty set.
pub(crate) fn reasons(text: &str) -> Result<RecycleReasons, ValueError> {
    if text.trim().is_empty() {
        return Ok(RecycleReasons::NONE);
    }
    text.split(',')
        .map(|name| {
            let name = name.trim();
            RecycleReason::ALL
                .into_iter()
                .find(|reason| reason.as_str().eq_ignore_ascii_case(name))
                .ok_or_else(|| ValueError::Reasons(name.to_owned()))
        })
        .collect()
}

fn seconds(text: &str) -> Option<u64> {
    let (days, clock) = match text.split_once('.') {
        Some((days, clock)) => (Some(digits(days)?), clock),
        None => (None, text),
    };
    let mut parts = clock.split(':');
    let (hours, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let sixtieth = |part: &str| digits(part).filter(|number| part.len() == 2 && *number < 60);
    let hours = digits(hours).filter(|hours| days.is_none() || *hours < 24)?;
    let total = days
        .unwrap_or(0)
        .checked_mul(DAY)?
        .checked_add(hours.checked_mul(HOUR)?)?
        .checked_add(sixtieth(minute)? * MINUTE + sixtieth(second)?)?;
    (total <= MAX_DAYS * DAY).then_some(total)
}

/// `str::parse` alone would take a sign.
fn digits(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| all)
}
