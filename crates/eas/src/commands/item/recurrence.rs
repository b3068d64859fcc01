use std::borrow::Cow;

use crate::wbxml::{DecodeError, Element, Reader, Tag, Writer, calendar, email, tasks};

/// The rule of a series (Recurrence in MS-ASCAL, MS-ASEMAIL and MS-ASTASK). Which of the
/// days count depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Recurrence<'a> {
    /// 0 daily, 1 weekly, 2 monthly on a date, 3 monthly on a weekday, 5 yearly on a date, 6 yearly
    /// on a weekday.
    pub kind: u8,
    /// Every so many days, weeks, months; absent means one.
    pub interval: Option<u16>,
    /// So many times.
    pub occurrences: Option<u16>,
    /// Until then, in the form of the class's times.
    pub until: Option<Cow<'a, str>>,
    /// The sum of 1 Sunday, 2 Monday, 4 Tuesday ... 64 Saturday; 127 with kind 3 is the last day of
    /// the month.
    pub day_of_week: Option<u8>,
    /// 1 to 31.
    pub day_of_month: Option<u8>,
    /// 1 to 5, 5 the last.
    pub week_of_month: Option<u8>,
    /// 1 to 12.
    pub month_of_year: Option<u8>,
}

/// Each class has elements of its own for the same rule.
pub(super) struct Tags {
    rule: Tag,
    kind: Tag,
    interval: Tag,
    occurrences: Tag,
    until: Tag,
    day_of_week: Tag,
    day_of_month: Tag,
    week_of_month: Tag,
    month_of_year: Tag,
}

macro_rules! tags {
    ($name:ident, $page:ident) => {
        pub(super) const $name: Tags = Tags {
            rule: $page::RECURRENCE,
            kind: $page::TYPE,
            interval: $page::INTERVAL,
            occurrences: $page::OCCURRENCES,
            until: $page::UNTIL,
            day_of_week: $page::DAY_OF_WEEK,
            day_of_month: $page::DAY_OF_MONTH,
            week_of_month: $page::WEEK_OF_MONTH,
            month_of_year: $page::MONTH_OF_YEAR,
        };
    };
}

tags!(CALENDAR, calendar);
tags!(EMAIL, email);
tags!(TASKS, tasks);

impl<'a> Recurrence<'a> {
    /// Writes the rule; that of a task says when the series begins, too.
    pub(super) fn write(&self, writer: &mut Writer, tags: &Tags, start: Option<(Tag, &str)>) {
        writer.start(tags.rule).number(tags.kind, self.kind);
        if let Some((tag, start)) = start {
            writer.element(tag, start);
        }
        if let Some(interval) = self.interval {
            writer.number(tags.interval, interval);
        }
        if let Some(occurrences) = self.occurrences {
            writer.number(tags.occurrences, occurrences);
        }
        if let Some(until) = &self.until {
            writer.element(tags.until, until);
        }
        for (tag, number) in [
            (tags.day_of_week, self.day_of_week),
            (tags.day_of_month, self.day_of_month),
            (tags.week_of_month, self.week_of_month),
            (tags.month_of_year, self.month_of_year),
        ] {
            if let Some(number) = number {
                writer.number(tag, number);
            }
        }
        writer.end();
    }

    /// Consumes the element. An empty one, or one of empty elements, is no rule: that is how iOS
    /// writes an appointment which does not repeat.
    ///
    /// # Errors
    /// When there is a rule without its kind, or a value of the wrong form.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        parent: Element,
        tags: &Tags,
    ) -> Result<Option<Self>, DecodeError> {
        let mut kind = None;
        let mut rule = Self::default();
        while let Some(field) = reader.child(parent)? {
            let tag = field.tag;
            if tag == tags.kind {
                kind = reader.optional(field, Reader::number)?;
            } else if tag == tags.interval {
                rule.interval = reader.optional(field, Reader::number)?;
            } else if tag == tags.occurrences {
                rule.occurrences = reader.optional(field, Reader::number)?;
            } else if tag == tags.until {
                rule.until = reader.optional(field, Reader::text)?;
            } else if tag == tags.day_of_week {
                rule.day_of_week = reader.optional(field, Reader::number)?;
            } else if tag == tags.day_of_month {
                rule.day_of_month = reader.optional(field, Reader::number)?;
            } else if tag == tags.week_of_month {
                rule.week_of_month = reader.optional(field, Reader::number)?;
            } else if tag == tags.month_of_year {
                rule.month_of_year = reader.optional(field, Reader::number)?;
            } else {
                reader.skip(field)?;
            }
        }
        match kind {
            Some(kind) => Ok(Some(Self { kind, ..rule })),
            None if rule == Self::default() => Ok(None),
            None => Err(reader.missing(parent.tag, tags.kind)),
        }
    }
}
