//! Reads a TOML table key by key and gathers every mistake with its place. serde stops at the
//! first one, which is why it is not used here.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use text::{parse_duration, parse_size, parse_sizes};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::shown::is_secret;

/// A mistake and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes of the file.
    pub(super) span: Range<usize>,
    /// The key, with its tables: `devices.heartbeat`.
    pub(super) key: String,
    /// What is wrong and what was expected.
    pub(super) message: String,
}

/// How the message about a key begins that must be there and is not.
const MISSING: &str = "is missing";

/// Where mistakes are gathered.
pub(super) type Problems = RefCell<Vec<Problem>>;

/// A table that is being read.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
    path: String,
    known: RefCell<BTreeSet<&'static str>>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a Spanned<DeTable<'a>>, problems: &'a Problems) -> Self {
        Self::new(table.get_ref(), table.span(), String::new(), problems)
    }

    fn new(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        path: String,
        problems: &'a Problems,
    ) -> Self {
        Self {
            table,
            span,
            path,
            known: RefCell::default(),
            problems,
        }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Reports a mistake at a key, or at the table if the key is absent.
    pub(super) fn problem(&self, name: &str, message: impl Into<String>) {
        let span = self
            .table
            .get(name)
            .map_or_else(|| self.span.clone(), |value| value.span());
        self.problems.borrow_mut().push(Problem {
            span,
            key: self.key(name),
            message: message.into(),
        });
    }

    /// Whether a mistake in a table of the file is reported already.
    pub(super) fn is_reported(&self, table: &str) -> bool {
        let problems = self.problems.borrow();
        problems.iter().any(|problem| {
            let rest = problem.key.strip_prefix(table);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    fn take(&self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().insert(name);
        self.table.get(name)
    }

    fn read<T>(
        &self,
        name: &'static str,
        expected: &str,
        convert: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let converted = convert(value.get_ref());
        if converted.is_none() {
            let found = if is_secret(name) {
                kind(value.get_ref()).to_owned()
            } else {
                shown(value.get_ref())
            };
            self.problem(name, format!("expected {expected}, found {found}"));
        }
        converted
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Whether a key is there and a mistake at it is reported already.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        let key = self.key(name);
        let problems = self.problems.borrow();
        problems.iter().any(|problem| problem.key == key)
    }

    /// Reports a key that is known, and does not belong here.
    pub(super) fn refuse(&self, name: &'static str, message: &str) {
        if self.take(name).is_some() {
            self.problem(name, message);
        }
    }

    pub(super) fn is_table(&self, name: &str) -> bool {
        let value = self.table.get(name);
        value.is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// The path of a file or folder. It is relative to the scenario's own folder, so that it does not matter
    /// where the program is started.
    pub(super) fn path(&self, name: &'static str, folder: &Path) -> Option<PathBuf> {
        self.text(name).map(|path| folder.join(path))
    }

    /// A text, or `true`, which gives an inner `None`.
    pub(super) fn text_or_true(&self, name: &'static str) -> Option<Option<String>> {
        self.read(name, "a text or true", |value| match value.as_bool() {
            Some(flag) => flag.then_some(None),
            None => value.as_str().map(|text| Some(text.to_owned())),
        })
    }

    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.read(name, "true or false", |value| value.as_bool())
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, name: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        self.read(name, &expected, |value| {
            integer(value).filter(|number| bounds.contains(number))
        })
    }

    /// A list of whole numbers within bounds.
    pub(super) fn integers(
        &self,
        name: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<Vec<u64>> {
        let numbers: Vec<u64> = self.read(name, "a list of whole numbers", |value| {
            let numbers = value.as_array()?.iter();
            numbers.map(|number| integer(number.get_ref())).collect()
        })?;
        if let Some(wrong) = numbers.iter().find(|number| !bounds.contains(number)) {
            let (from, to) = (bounds.start(), bounds.end());
            self.problem(
                name,
                format!("expected whole numbers from {from} to {to}, found {wrong}"),
            );
        }
        Some(numbers)
    }

    /// A number within bounds.
    pub(super) fn number(&self, name: &'static str, bounds: RangeInclusive<f64>) -> Option<f64> {
        let expected = format!("a number from {} to {}", bounds.start(), bounds.end());
        self.read(name, &expected, |value| {
            number(value).filter(|number| bounds.contains(number))
        })
    }

    pub(super) fn duration(&self, name: &'static str) -> Option<Duration> {
        self.read(name, "a duration such as \"30s\" or \"8m\"", |value| {
            parse_duration(value.as_str()?)
        })
    }

    /// `"1s..6s"`, or one duration for both ends.
    pub(super) fn durations(&self, name: &'static str) -> Option<(Duration, Duration)> {
        self.read(name, "durations from and to such as \"1s..6s\"", |value| {
            let text = value.as_str()?;
            let (from, to) = text.split_once("..").unwrap_or((text, text));
            let (from, to) = (parse_duration(from)?, parse_duration(to)?);
            (from <= to).then_some((from, to))
        })
    }

    pub(super) fn size(&self, name: &'static str) -> Option<u64> {
        self.read(
            name,
            "a size such as \"64KiB\" (units B, kB, MB, GB, KiB, MiB, GiB)",
            |value| match value.as_str() {
                Some(text) => parse_size(text),
                None => integer(value),
            },
        )
    }

    /// `"1KiB..64KiB"`, or one size for both ends.
    pub(super) fn sizes(&self, name: &'static str) -> Option<(u64, u64)> {
        self.read(
            name,
            "a size such as \"64KiB\" (units B, kB, MB, GB, KiB, MiB, GiB), or sizes from and to",
            |value| match value.as_str() {
                Some(text) => parse_sizes(text),
                None => integer(value).map(|size| (size, size)),
            },
        )
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        self.read(name, &format!("one of {}", words.join(", ")), |value| {
            let text = value.as_str()?;
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, choice)| *choice)
        })
    }

    /// One text, or a list of them.
    pub(super) fn text_or_texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.read(name, "a text or a list of texts", |value| {
            match value.as_str() {
                Some(text) => Some(vec![text.to_owned()]),
                None => texts(value),
            }
        })
    }

    pub(super) fn texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.read(name, "a list of texts", texts)
    }

    /// A table; absent ones give `None`.
    pub(super) fn section(&self, name: &'static str) -> Option<Section<'a>> {
        let value = self.take(name)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(
                table,
                value.span(),
                self.key(name),
                self.problems,
            )),
            other => {
                self.problem(
                    name,
                    format!("expected a table [{name}], found {}", shown(other)),
                );
                None
            }
        }
    }

    /// An array of tables.
    pub(super) fn sections(&self, name: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let DeValue::Array(entries) = value.get_ref() else {
            self.problem(
                name,
                format!(
                    "expected tables [[{name}]], found {}",
                    shown(value.get_ref())
                ),
            );
            return Vec::new();
        };
        let entries = entries.iter().enumerate();
        entries
            .filter_map(|(index, entry)| match entry.get_ref() {
                DeValue::Table(table) => {
                    let path = format!("{}[{}]", self.key(name), index + 1);
                    Some(Section::new(table, entry.span(), path, self.problems))
                }
                other => {
                    self.problem(
                        name,
                        format!("expected tables [[{name}]], found {}", shown(other)),
                    );
                    None
                }
            })
            .collect()
    }

    /// Reports a key that must be there.
    pub(super) fn required<T>(
        &self,
        name: &'static str,
        value: Option<T>,
        example: &str,
    ) -> Option<T> {
        if value.is_none() && !self.table.contains_key(name) {
            self.problem(
                name,
                format!("{MISSING}; write for example {name} = {example}"),
            );
        }
        value
    }

    /// Refuses every key that was not asked for, and says which was meant.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(name) {
                continue;
            }
            if name == "password" && known.contains("password_env") {
                self.problems.borrow_mut().push(Problem {
                    span: key.span(),
                    key: self.key(name),
                    message:
                        "a password does not belong in a file that is passed around; name the \
                              environment variable with password_env, or a file with password_file"
                            .to_owned(),
                });
                continue;
            }
            /// Below this similarity a suggestion misleads.
            const SIMILAR: f64 = 0.75;
            let hint = match nearest(name, known.iter().copied(), SIMILAR) {
                Some(other) => {
                    // A key that is misspelt is not missing as well.
                    let meant = self.key(other);
                    let is_other = |problem: &Problem| {
                        problem.key != meant || !problem.message.starts_with(MISSING)
                    };
                    self.problems.borrow_mut().retain(is_other);
                    format!("did you mean `{other}`?")
                }
                None => {
                    let list: Vec<&str> = known.iter().copied().collect();
                    format!("known here are {}", list.join(", "))
                }
            };
            self.problems.borrow_mut().push(Problem {
                span: key.span(),
                key: self.key(name),
                message: format!("unknown key; {hint}"),
            });
        }
    }
}

/// `host:port`.
pub fn split_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then_some((host, port))
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|entry| entry.get_ref().as_str().map(str::to_owned))
        .collect()
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value.as_float() {
        Some(float) => float.as_str().parse().ok(),
        None => value.as_integer()?.as_str().parse().ok(),
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => kind(other).to_owned(),
    }
}

/// What a value is, without the value.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known name that is most like this one, if the two are as similar as `least` (Jaro–Winkler, 0 to 1). A name
/// that is much longer than any known one is compared with none, because the comparison takes quadratic time.
pub(super) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    least: f64,
) -> Option<&'a str> {
    const LONGEST: usize = 100;
    if name.len() > LONGEST {
        return None;
    }
    known
        .filter(|other| most_similar(name, other) + f64::EPSILON >= least)
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= least)
        .map(|(_, other)| other)
}

/// An upper bound of the similarity (Jaro–Winkler) of two names, in linear time: as if all letters that both have
/// stood in the same order.
fn most_similar(one: &str, other: &str) -> f64 {
    /// A letter's counter is its code modulo this; letters that share one only raise the bound.
    const COUNTERS: usize = 64;
    /// Letters at the beginning that raise the similarity, and by how much each.
    const PREFIX: (usize, f64) = (4, 0.1);
    let mut left = [0_u8; COUNTERS];
    let at = |letter: char| letter as usize % COUNTERS;
    let mut length = 0;
    for letter in one.chars() {
        left[at(letter)] = left[at(letter)].saturating_add(1);
        length += 1;
    }
    let (mut common, mut other_length) = (0, 0);
    for letter in other.chars() {
        other_length += 1;
        if let Some(fewer) = left[at(letter)].checked_sub(1) {
            left[at(letter)] = fewer;
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let common = f64::from(common);
    let jaro = (common / f64::from(length) + common / f64::from(other_length) + 1.0) / 3.0;
    let same = one.chars().zip(other.chars()).take(PREFIX.0);
    let prefix = same.take_while(|(a, b)| a == b).count() as f64;
    jaro + PREFIX.1 * prefix * (1.0 - jaro)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_bound_of_a_similarity_is_never_below_it(
            one in "[a-e._ü]{0,12}",
            other in "[a-e._ü]{0,12}",
        ) {
            let similarity = strsim::jaro_winkler(&one, &other);
            proptest::prop_assert!(
                one.is_empty() || most_similar(&one, &other) >= similarity - 1e-9,
                "{similarity}"
            );
            let nearest = nearest(&one, [&*other].into_iter(), 0.75);
            proptest::prop_assert_eq!(nearest.is_some(), similarity >= 0.75 && !one.is_empty());
        }
    }
}
