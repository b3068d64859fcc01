//! Elements → what the asked pool and `applicationPoolDefaults` set.

use std::collections::BTreeMap;

use crate::error::{Draft, shown};
use crate::layer::{Layer, Step};
use crate::rules::{Element, is_anywhere, nearest};
use crate::xml::{Attribute, Place, Token, Xml};

const NO_CONFIGURATION: &str =
    "is not an IIS configuration; expected the root element <configuration>";
const NO_POOLS: &str = "is not an IIS server configuration; expected \
                        <applicationPools> in <system.applicationHost>";
const UNREAD: &str = "cannot be read; expected the pools as plain elements of this file, in \
                      configuration/system.applicationHost/applicationPools";

/// What a file holds of a pool.
#[derive(Debug, Default)]
pub(crate) struct Found<'t> {
    pub(crate) defaults: Layer<'t>,
    /// The pool that was asked for.
    pub(crate) pool: Option<(String, Layer<'t>)>,
    pub(crate) problems: Vec<Draft>,
}

/// Reads a file for the pool of a name. If there is no such pool, a problem says why.
pub(crate) fn scan<'t>(text: &'t str, pool: &str) -> Found<'t> {
    let mut scan = Scan {
        wanted: pool.to_lowercase(),
        found: Found::default(),
        names: BTreeMap::new(),
        pools: None,
    };
    let complete = match scan.run(text) {
        Ok(complete) => complete,
        Err(problem) => {
            scan.found.problems.push(problem);
            false
        }
    };
    if complete && scan.found.pool.is_none() {
        let problem = scan.absent(pool);
        scan.found.problems.push(problem);
    }
    scan.found
}

/// What an open element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Configuration,
    Location,
    ApplicationHost,
    LocationHost,
    Pools,
    Layer(Owner, Element),
    /// `<add>`, `<remove>` or `<clear>` of a schedule, which have no content.
    Step(Owner),
    /// Not read.
    Other,
    /// Not read, and the pool may be in it.
    Unread,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Defaults,
    Pool,
}

struct Scan<'t> {
    wanted: String,
    found: Found<'t>,
    /// The name of every pool, by the name in lower case.
    names: BTreeMap<String, String>,
    pools: Option<Place<'t>>,
}

impl<'t> Scan<'t> {
    /// Whether everything that could hold the pool was read.
    fn run(&mut self, text: &'t str) -> Result<bool, Draft> {
        let mut xml = Xml::new(text);
        let mut open = Vec::new();
        let mut root = None;
        let mut complete = true;
        while let Some(token) = xml.next()? {
            let Token::Start(place, attributes) = token else {
                open.pop();
                continue;
            };
            let scope = match open.last() {
                Some(parent) => self.scope(*parent, place, attributes),
                None if place.element == "configuration" => {
                    self.check(&attributes);
                    Scope::Configuration
                }
                None => return Err(Draft::new(place.offset, place.element, NO_CONFIGURATION)),
            };
            complete &= scope != Scope::Unread;
            root = root.or(Some(place));
            open.push(scope);
        }
        match root {
            None => Err(Draft::new(0, "file", NO_CONFIGURATION)),
            Some(root) if self.pools.is_none() && complete => {
                Err(Draft::new(root.offset, root.element, NO_POOLS))
            }
            Some(_) => Ok(complete),
        }
    }

    fn absent(&self, pool: &str) -> Draft {
        let names: Vec<_> = self.names.values().map(|name| shown(name)).collect();
        let names = match &*names {
            [] => "there is none".to_owned(),
            names => format!("expected one of {}", names.join(", ")),
        };
        let (offset, element) = self
            .pools
            .map_or((0, "file"), |place| (place.offset, place.element));
        let message = format!("has no pool {}; {names}", shown(pool));
        Draft::new(offset, element, message)
    }

    fn scope(&mut self, parent: Scope, place: Place<'t>, attributes: Vec<Attribute<'t>>) -> Scope {
        match (parent, place.element) {
            (Scope::Configuration | Scope::Location, "location") => Scope::Location,
            (Scope::Configuration, "system.applicationHost") => {
                self.check(&attributes);
                Scope::ApplicationHost
            }
            (Scope::Location, "system.applicationHost") => Scope::LocationHost,
            (Scope::LocationHost, "applicationPools") => {
                self.problem(place, format!("stands in a <location> and {UNREAD}"));
                Scope::Unread
            }
            (Scope::ApplicationHost | Scope::LocationHost | Scope::Pools, "EncryptedData") => {
                self.problem(place, format!("is encrypted and {UNREAD}"));
                Scope::Unread
            }
            (Scope::ApplicationHost, "applicationPools") => self.pools(place, &attributes),
            (Scope::Pools, "applicationPoolDefaults") => {
                self.layer(Owner::Defaults, Element::Pool, place, attributes)
            }
            (Scope::Pools, "add") => self.pool(place, attributes),
            (Scope::Pools, "clear") => {
                self.names.clear();
                self.found.pool = None;
                Scope::Other
            }
            (Scope::Pools, "remove") => {
                if let Some(attribute) = self.needed(place, attributes, "name") {
                    self.remove(&attribute.value.to_lowercase());
                }
                Scope::Other
            }
            (Scope::Pools, name) => {
                let read = ["add", "applicationPoolDefaults"];
                if nearest(name, read).is_none() {
                    self.found.defaults.unknown_element(place);
                }
                self.other(place, read)
            }
            (Scope::Layer(owner, Element::Schedule), _) => self.step(owner, place, attributes),
            (Scope::Step(owner), _) => {
                if let Some(layer) = self.owned(owner) {
                    layer.unknown_element(place);
                }
                Scope::Other
            }
            (Scope::Layer(owner, element), name) => {
                let children = element.children();
                match children.iter().find(|(child, _)| *child == name) {
                    Some((_, child)) => self.layer(owner, *child, place, attributes),
                    None => {
                        let read = children.iter().map(|(child, _)| *child);
                        if nearest(name, read.clone()).is_none()
                            && !element.has_child(name)
                            && let Some(layer) = self.owned(owner)
                        {
                            layer.unknown_element(place);
                        }
                        self.other(place, read)
                    }
                }
            }
            (Scope::Configuration | Scope::Location | Scope::ApplicationHost, _)
            | (Scope::LocationHost | Scope::Other | Scope::Unread, _) => Scope::Other,
        }
    }

    fn pools(&mut self, place: Place<'t>, attributes: &[Attribute<'t>]) -> Scope {
        if let Some(first) = self.pools {
            self.twice(place, first.line);
            return Scope::Other;
        }
        self.pools = Some(place);
        self.check(attributes);
        for attribute in attributes {
            let what = match attribute.name {
                "configSource" => "is kept in another file",
                "configProtectionProvider" => "is encrypted",
                _ => continue,
            };
            let message = format!("{what} ({}) and {UNREAD}", shown(&attribute.value));
            self.found.problems.push(attribute.problem(message));
            return Scope::Unread;
        }
        Scope::Pools
    }

    /// Notes what IIS does not have on an element that holds the pools.
    fn check(&mut self, attributes: &[Attribute<'t>]) {
        for attribute in attributes {
            if !is_anywhere(attribute.name) && attribute.name != "configProtectionProvider" {
                self.found.defaults.unknown_attribute(attribute);
            }
        }
    }

    fn pool(&mut self, place: Place<'t>, attributes: Vec<Attribute<'t>>) -> Scope {
        let Some(name) = attributes.iter().find(|attribute| attribute.name == "name") else {
            self.needed(place, attributes, "name");
            // It may be the very pool that was asked for.
            return Scope::Unread;
        };
        let key = name.value.to_lowercase();
        let wanted = key == self.wanted;
        self.names.insert(key, name.value.clone());
        if !wanted {
            return Scope::Other;
        }
        if let Some((_, layer)) = &self.found.pool {
            let first = layer.line(Element::Pool).unwrap_or(place.line);
            self.found.problems.push(name.problem(format!(
                "{} is on line {first} and again on line {}; expected it once",
                shown(&name.value),
                place.line
            )));
            return Scope::Other;
        }
        self.found.pool = Some((name.value.clone(), Layer::default()));
        self.layer(Owner::Pool, Element::Pool, place, attributes)
    }

    fn remove(&mut self, name: &str) {
        self.names.remove(name);
        if name == self.wanted {
            self.found.pool = None;
        }
    }

    fn layer(
        &mut self,
        owner: Owner,
        element: Element,
        place: Place<'t>,
        attributes: Vec<Attribute<'t>>,
    ) -> Scope {
        let Some(layer) = self.owned(owner) else {
            return Scope::Other;
        };
        if let Some(first) = layer.line(element) {
            self.twice(place, first);
            return Scope::Other;
        }
        layer.elements.push((element, place.line));
        let mut misspelt = Vec::new();
        for attribute in attributes {
            if let Some(rule) = element.rule(attribute.name) {
                layer.entries.push((rule, attribute));
            } else if let Some(meant) = element.meant(attribute.name) {
                misspelt.push(attribute.problem(unknown(meant)));
            } else if !element.has(attribute.name) {
                layer.unknown_attribute(&attribute);
            }
        }
        self.found.problems.append(&mut misspelt);
        Scope::Layer(owner, element)
    }

    fn step(&mut self, owner: Owner, place: Place<'t>, attributes: Vec<Attribute<'t>>) -> Scope {
        let has_value = ["add", "remove"].contains(&place.element);
        if (has_value || place.element == "clear")
            && let Some(layer) = self.owned(owner)
        {
            let is_there = attributes.iter().any(|one| one.name == "value");
            for attribute in &attributes {
                // Where there is no value, a misspelt one is a problem of its own.
                let is_misspelt = || !is_there && nearest(attribute.name, ["value"]).is_some();
                let is_value = has_value && (attribute.name == "value" || is_misspelt());
                if !is_value && !is_anywhere(attribute.name) {
                    layer.unknown_attribute(attribute);
                }
            }
        }
        let step = match place.element {
            "clear" => Some(Step::Clear),
            "add" => self.needed(place, attributes, "value").map(Step::Add),
            "remove" => self.needed(place, attributes, "value").map(Step::Remove),
            _ => {
                let read = ["add", "clear", "remove"];
                if nearest(place.element, read).is_none()
                    && let Some(layer) = self.owned(owner)
                {
                    layer.unknown_element(place);
                }
                return self.other(place, read);
            }
        };
        if let (Some(layer), Some(step)) = (self.owned(owner), step) {
            if let Step::Add(attribute) | Step::Remove(attribute) = &step {
                layer.check_seconds(attribute);
            }
            layer.steps.push(step);
        }
        Scope::Step(owner)
    }

    fn owned(&mut self, owner: Owner) -> Option<&mut Layer<'t>> {
        match owner {
            Owner::Defaults => Some(&mut self.found.defaults),
            Owner::Pool => self.found.pool.as_mut().map(|(_, layer)| layer),
        }
    }

    /// An attribute without which its element means nothing.
    fn needed(
        &mut self,
        place: Place<'t>,
        attributes: Vec<Attribute<'t>>,
        name: &'static str,
    ) -> Option<Attribute<'t>> {
        let mut problem = None;
        for attribute in attributes {
            if attribute.name == name {
                return Some(attribute);
            }
            if nearest(attribute.name, [name]).is_some() {
                problem = Some(attribute.problem(unknown(name)));
            }
        }
        self.found.problems.push(problem.unwrap_or_else(|| {
            let at = format!("{}@{name}", place.element);
            Draft::new(place.offset, at, "is missing")
        }));
        None
    }

    /// An element that is not read, unless a misspelt one that would be.
    fn other(&mut self, place: Place<'t>, read: impl IntoIterator<Item = &'static str>) -> Scope {
        if let Some(meant) = nearest(place.element, read) {
            self.problem(place, unknown(meant));
        }
        Scope::Other
    }

    fn twice(&mut self, place: Place<'t>, first: usize) {
        let message = format!(
            "is on line {first} and again on line {}; expected it once",
            place.line
        );
        self.problem(place, message);
    }

    fn problem(&mut self, place: Place<'t>, message: String) {
        let problem = Draft::new(place.offset, place.element, message);
        self.found.problems.push(problem);
    }
}

fn unknown(meant: &str) -> String {
    format!("is unknown to IIS; did you mean `{meant}`?")
}
