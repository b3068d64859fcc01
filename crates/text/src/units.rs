//! Durations and sizes as people write them: `30s`, `1h30m`, `64KiB`.

use std::time::Duration;

/// Units in nanoseconds, longest name first so that `ms` is not read as `m`.
const UNITS: [(&str, u128); 7] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Reads `30s`, `1h30m`, `1.5s`; `None` if it is something else or longer than a century.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    const CENTURY: f64 = 3.2e9;
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (name, nanos) = UNITS.iter().find(|(name, _)| rest.starts_with(name))?;
        seconds += number * *nanos as f64 / 1e9;
        rest = &rest[name.len()..];
    }
    (seconds <= CENTURY).then(|| Duration::from_secs_f64(seconds))
}

/// Writes what [`parse_duration`] reads, in at most two units.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let whole = |unit: u128, name: &str, part: u128, part_name: &str| {
        let (first, second) = (millis / unit, millis % unit / part);
        if second == 0 {
            format!("{first}{name}")
        } else {
            format!("{first}{name}{second}{part_name}")
        }
    };
    match millis {
        0 if duration.is_zero() => "0s".to_owned(),
        0 => format!("{}us", duration.as_micros()),
        1..=999 => format!("{millis}ms"),
        1000..=59_999 if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        1000..=59_999 => format!("{:.1}s", duration.as_secs_f64()),
        60_000..=3_599_999 => whole(60_000, "m", 1000, "s"),
        3_600_000..=86_399_999 => whole(3_600_000, "h", 60_000, "m"),
        _ => whole(86_400_000, "d", 3_600_000, "h"),
    }
}

/// Reads `512`, `64KiB`, `10kB`, `1MiB`; `None` if it is something else.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let text = text.trim();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Reads a range of sizes such as `1KiB..64KiB`, or one size for both ends; `None` if it is something else.
#[must_use]
pub fn parse_sizes(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (parse_size(from)?, parse_size(to)?);
    (from <= to).then_some((from, to))
}

/// A text from which [`parse_duration`] reads the same duration again.
fn exact(duration: Duration) -> String {
    let short = format_duration(duration);
    if parse_duration(&short) == Some(duration) {
        short
    } else {
        format!("{}s", duration.as_secs_f64())
    }
}

/// Durations as texts, for serde's `with`.
pub mod duration_text {
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// As the text that [`super::parse_duration`] reads.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::exact(*duration))
    }

    /// From a text such as `250ms`.
    ///
    /// # Errors
    /// If the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a duration such as \"250ms\" or \"30s\", found \"{text}\""
            ))
        })
    }
}

/// The same for durations that may be absent.
pub mod optional_duration_text {
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// As the text that [`super::parse_duration`] reads.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(super::exact).serialize(serializer)
    }

    /// From a text such as `250ms`.
    ///
    /// # Errors
    /// If the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        super::parse_duration(&text).map(Some).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a duration such as \"250ms\" or \"30s\", found \"{text}\""
            ))
        })
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("30s", 30_000),
            ("8m", 480_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1.5s", 1500),
            ("0", 0),
            ("2d", 172_800_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "30",
            "s",
            "30 s",
            "-1s",
            "1e3s",
            "1x",
            "99999999w",
            "1..2s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["30s", "8m", "1h30m", "250ms", "1.5s", "0s", "2d"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("10 kB"), Some(10_000));
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("1.5MiB"), None);
        assert_eq!(parse_size("99999999999GiB"), None);
        assert_eq!(parse_sizes("1KiB..2KiB"), Some((1024, 2048)));
        assert_eq!(parse_sizes("4kB"), Some((4000, 4000)));
        assert_eq!(parse_sizes("2KiB..1KiB"), None);
    }
}
