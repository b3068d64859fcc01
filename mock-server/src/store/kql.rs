//! Texts of a search, in the part of Keyword Query Language (MS-KQL) that searches of a mailbox use: words
//! and phrases, AND, OR, NOT and parentheses, and restrictions such as `subject:report`.

use super::searched::{Part, Searched, unix_millis};

/// Parentheses nest up to this depth; a person types two or three.
const MAX_DEPTH: usize = 16;

/// What an item must be to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kql {
    /// A part of the item holds the text, which is in lower case.
    Holds(Part, String),
    /// The item was received in this span of time, in milliseconds since 1970, without its end.
    Received(i64, i64),
    HasAttachment(bool),
    IsRead(bool),
    All(Vec<Kql>),
    Any(Vec<Kql>),
    Not(Box<Kql>),
}

/// Restrictions of a text to a part.
const PARTS: [(&str, Part); 9] = [
    ("subject", Part::Subject),
    ("body", Part::Body),
    ("from", Part::From),
    ("sender", Part::From),
    ("to", Part::To),
    ("cc", Part::Cc),
    ("participants", Part::Participants),
    ("recipients", Part::To),
    ("kind", Part::Kind),
];

impl Kql {
    /// Reads a text. One that is no query, such as a parenthesis without its partner, is itself searched for.
    pub(super) fn parse(text: &str) -> Self {
        let mut parser = Parser {
            rest: text,
            depth: 0,
        };
        let query = parser.any(Part::Everything);
        query
            .filter(|_| parser.rest.trim_start().is_empty())
            .unwrap_or_else(|| Self::holds(Part::Everything, text))
    }

    /// An asterisk stands for the rest of a word; words are found by how they begin anyway.
    fn holds(part: Part, text: &str) -> Self {
        Self::Holds(part, text.trim().trim_matches('*').to_lowercase())
    }

    pub(super) fn matches(&self, item: &Searched) -> bool {
        match self {
            Self::Holds(part, text) => item.holds(*part, text),
            Self::Received(from, to) => item.received.is_some_and(|at| (*from..*to).contains(&at)),
            Self::HasAttachment(wanted) => item.has_attachment == *wanted,
            Self::IsRead(wanted) => item.is_read == *wanted,
            Self::All(parts) => parts.iter().all(|part| part.matches(item)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(item)),
            Self::Not(part) => !part.matches(item),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Consumes a sign if it comes next.
    fn accept(&mut self, sign: char) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Whether an operator, which is in capitals and stands alone, comes next.
    fn is_at(&self, operator: &str) -> bool {
        let rest = self.rest.strip_prefix(operator);
        rest.is_some_and(|rest| rest.starts_with(|next: char| next.is_whitespace() || next == '('))
    }

    fn accept_operator(&mut self, operator: &str) -> bool {
        let is_there = self.is_at(operator);
        if is_there {
            self.rest = &self.rest[operator.len()..];
        }
        is_there
    }

    /// Alternatives.
    fn any(&mut self, part: Part) -> Option<Kql> {
        let mut parts = vec![self.all(part)?];
        while self.accept_operator("OR") {
            parts.push(self.all(part)?);
        }
        Some(one_or(parts, Kql::Any))
    }

    /// Terms that must all match, with or without AND between them.
    fn all(&mut self, part: Part) -> Option<Kql> {
        let mut parts = Vec::new();
        loop {
            self.skip_blanks();
            if self.rest.is_empty() || self.rest.starts_with(')') || self.is_at("OR") {
                break;
            }
            if !parts.is_empty() && self.accept_operator("AND") {
                self.skip_blanks();
            }
            let is_not = self.accept_operator("NOT") || self.accept('-');
            self.skip_blanks();
            let term = self.term(part)?;
            parts.push(if is_not {
                Kql::Not(Box::new(term))
            } else {
                term
            });
        }
        (!parts.is_empty()).then(|| one_or(parts, Kql::All))
    }

    fn term(&mut self, part: Part) -> Option<Kql> {
        if self.accept('(') {
            return self.group(part);
        }
        if self.accept('"') {
            let (phrase, rest) = self.rest.split_once('"')?;
            self.rest = rest;
            return Some(Kql::holds(part, phrase));
        }
        if part == Part::Everything
            && let Some(restriction) = self.restriction()
        {
            return restriction;
        }
        let word = self.word();
        (!word.is_empty()).then(|| Kql::holds(part, word))
    }

    fn group(&mut self, part: Part) -> Option<Kql> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let group = self.any(part)?;
        self.depth -= 1;
        self.accept(')').then_some(group)
    }

    fn word(&mut self) -> &'a str {
        let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '(' | ')' | '"');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A property with its value; `None` if no known property comes next.
    fn restriction(&mut self) -> Option<Option<Kql>> {
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphabetic())?;
        let (name, after) = self.rest.split_at(end);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("received") {
            return self.received(after).map(Some);
        }
        let value = after.strip_prefix(':')?.trim_start();
        if let Some((_, part)) = PARTS.iter().find(|(other, _)| is(other)) {
            self.rest = value;
            return Some(self.term(*part));
        }
        let flag: fn(bool) -> Kql = if is("hasattachment") {
            Kql::HasAttachment
        } else if is("isread") {
            Kql::IsRead
        } else {
            return None;
        };
        self.rest = value;
        Some(match self.word().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(flag(true)),
            "false" | "no" | "0" => Some(flag(false)),
            _ => None,
        })
    }

    /// `received>=2026-03-14`, `received:2026-03-14`, `received:2026-03-01..2026-03-31`.
    fn received(&mut self, after: &str) -> Option<Kql> {
        const DAY: i64 = 86_400_000;
        let (operator, value) = ["<=", ">=", "<", ">", "=", ":"]
            .iter()
            .find_map(|operator| Some((*operator, after.strip_prefix(operator)?)))?;
        let mut value = Parser {
            rest: value.trim_start(),
            depth: 0,
        };
        let word = value.word();
        // A day ends a day after it begins, a moment a millisecond after.
        let span = |text: &str| {
            let at = unix_millis(text)?;
            let length = if text.contains(['T', 't']) { 1 } else { DAY };
            Some((at, at.saturating_add(length)))
        };
        let (first, last) = word.split_once("..").unwrap_or((word, word));
        let ((start, end), (_, last_end)) = (span(first)?, span(last)?);
        let query = match operator {
            "<" => Kql::Received(i64::MIN, start),
            "<=" => Kql::Received(i64::MIN, end),
            ">" => Kql::Received(end, i64::MAX),
            ">=" => Kql::Received(start, i64::MAX),
            _ => Kql::Received(start, last_end),
        };
        let length = self.rest.len() - value.rest.len();
        self.rest = &self.rest[length..];
        Some(query)
    }
}

fn one_or(mut parts: Vec<Kql>, several: fn(Vec<Kql>) -> Kql) -> Kql {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            several(parts)
        }
        None => several(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::*;
    use eas::commands::{Email, ItemData};

    fn message() -> Searched {
        let message = ItemData::Email(Box::new(Email {
            subject: "Quarterly report (draft)".into(),
            from: "anna@lab.example".into(),
            to: "bert@lab.example".into(),
            cc: "carla@lab.example".into(),
            body: "Figures of March, re: budget".into(),
            date_received: "2026-03-14T03:00:00.000Z".into(),
            ..Email::default()
        }));
        Searched::new(&Content::new(message), true)
    }

    #[test]
    fn texts_match_as_keyword_query_language_says() {
        for (text, expected) in [
            ("report", true),
            ("REPORT", true),
            ("rep", true),
            ("rep*", true),
            ("eport", false),
            ("*", true),
            ("absent", false),
            ("report figures", true),
            ("report absent", false),
            ("report AND absent", false),
            ("report OR absent", true),
            ("absent OR nothing", false),
            ("absent OR report figures", true),
            ("NOT absent", true),
            ("NOT report", false),
            ("-report", false),
            ("report -absent", true),
            ("\"figures of march\"", true),
            ("\"march figures\"", false),
            ("(absent OR report) figures", true),
            ("(absent OR report) AND absent", false),
            ("subject:report", true),
            ("subject: report", true),
            ("Subject:figures", false),
            ("subject:(quarterly report)", true),
            ("subject:\"quarterly report\"", true),
            ("from:anna", true),
            ("from:bert", false),
            ("to:bert AND cc:carla", true),
            ("participants:carla", true),
            ("participants:dora", false),
            ("body:march", true),
            ("kind:email", true),
            ("kind:contacts", false),
            ("isread:true", true),
            ("isread:false", false),
            ("hasattachment:true", false),
            ("hasattachment:no", true),
            ("received>=2026-03-14", true),
            ("received>2026-03-14", false),
            ("received<2026-03-14", false),
            ("received<=2026-03-14", true),
            ("received:2026-03-14", true),
            ("received:2026-03-13", false),
            ("received:2026-03-01..2026-03-31", true),
            ("received:2026-03-01..2026-03-13", false),
            ("received>2026-03-14T02:59:59Z report", true),
            ("received>2026-03-14T03:00:00Z", false),
            // No property, but text of the message.
            ("re:", true),
            ("xy:", false),
            // No query, but text of the message.
            ("(draft", true),
            ("draft)", true),
            ("(absent", false),
            ("OR absent", false),
            ("\"report", false),
        ] {
            assert_eq!(Kql::parse(text).matches(&message()), expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_text() {
        let nested = |depth: usize| format!("{}report{}", "(".repeat(depth), ")".repeat(depth));
        assert!(Kql::parse(&nested(MAX_DEPTH)).matches(&message()));
        let too_deep = nested(MAX_DEPTH + 1);
        assert_eq!(
            Kql::parse(&too_deep),
            Kql::Holds(Part::Everything, too_deep.clone())
        );
        let deepest = "(".repeat(100_000);
        assert!(!Kql::parse(&deepest).matches(&message()));
    }
}
