//! What `applicationPoolDefaults` or a pool's own element sets, still as text.

use std::collections::BTreeMap;

use jiff::civil;

use crate::error::{Draft, one_line};
use crate::pool::{Origin, Pool, Refused, RefusedKind};
use crate::rules::{Element, Rule, SCHEDULE_KEY};
use crate::values::time_of_day;
use crate::xml::{Attribute, Place};

/// An element of a schedule.
#[derive(Debug)]
pub(crate) enum Step<'t> {
    Clear,
    Add(Attribute<'t>),
    Remove(Attribute<'t>),
}

/// One of the two places that override the schema.
#[derive(Debug, Default)]
pub(crate) struct Layer<'t> {
    /// The elements that are there, and on which line.
    pub(crate) elements: Vec<(Element, usize)>,
    pub(crate) entries: Vec<(&'static Rule, Attribute<'t>)>,
    pub(crate) steps: Vec<Step<'t>>,
    /// What IIS refuses.
    pub(crate) refused: Vec<Refused>,
}

/// What is noted of one layer; a hostile file has millions.
const MOST_REFUSED: usize = 100;

impl Layer<'_> {
    /// Notes an attribute that IIS does not have.
    pub(crate) fn unknown_attribute(&mut self, attribute: &Attribute<'_>) {
        let kind = match attribute.name {
            "configSource" => RefusedKind::ConfigSource,
            _ => RefusedKind::Attribute,
        };
        let place = format!("{}@{}", attribute.place.element, attribute.name);
        self.note(attribute.place.line, place, kind);
    }

    /// Notes an element that IIS does not have there.
    pub(crate) fn unknown_element(&mut self, place: Place<'_>) {
        self.note(place.line, place.element.to_owned(), RefusedKind::Element);
    }

    /// Notes a time of a schedule that has seconds.
    pub(crate) fn check_seconds(&mut self, attribute: &Attribute<'_>) {
        if time_of_day(&attribute.value).is_ok_and(|time| time.second() != 0) {
            let place = format!("{}@{}", attribute.place.element, attribute.name);
            self.note(attribute.place.line, place, RefusedKind::Seconds);
        }
    }

    fn note(&mut self, line: usize, place: String, kind: RefusedKind) {
        if self.refused.len() < MOST_REFUSED {
            let place = one_line(&place);
            self.refused.push(Refused { line, place, kind });
        }
    }

    /// The line of an element.
    pub(crate) fn line(&self, element: Element) -> Option<usize> {
        let found = self.elements.iter().find(|(other, _)| *other == element);
        found.map(|(_, line)| *line)
    }

    /// Overrides what was set so far.
    pub(crate) fn apply(
        &self,
        pool: &mut Pool,
        origin: fn(usize) -> Origin,
        problems: &mut Vec<Draft>,
    ) {
        for (rule, attribute) in &self.entries {
            match (rule.set)(&mut pool.settings, &attribute.value) {
                Ok(()) => {
                    pool.origins.insert(rule.key, origin(attribute.place.line));
                }
                Err(error) => problems.push(attribute.problem(error.to_string())),
            }
        }
        // An empty <schedule> leaves what is inherited.
        if let Some(line) = self.line(Element::Schedule)
            && !self.steps.is_empty()
        {
            let schedule = &mut pool.settings.recycling.schedule;
            *schedule = self.schedule(schedule, problems);
            pool.origins.insert(SCHEDULE_KEY, origin(line));
        }
    }

    /// Times inherited and own. A time that is both is no mistake: only within one schedule must
    /// the values be unique.
    fn schedule(&self, inherited: &[civil::Time], problems: &mut Vec<Draft>) -> Vec<civil::Time> {
        let mut times: BTreeMap<civil::Time, Option<usize>> =
            inherited.iter().map(|time| (*time, None)).collect();
        for step in &self.steps {
            let (Step::Add(attribute) | Step::Remove(attribute)) = step else {
                times.clear();
                continue;
            };
            let time = match time_of_day(&attribute.value) {
                Ok(time) => time,
                Err(error) => {
                    problems.push(attribute.problem(error.to_string()));
                    continue;
                }
            };
            if matches!(step, Step::Remove(_)) {
                times.remove(&time);
                continue;
            }
            let line = attribute.place.line;
            if let Some(Some(first)) = times.insert(time, Some(line)) {
                problems.push(attribute.problem(format!(
                    "{time} is on line {first} and again on line {line}; expected it once"
                )));
            }
        }
        times.into_keys().collect()
    }
}
