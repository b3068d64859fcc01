//! What users do with their devices besides waiting for mail: how often each thing on a working day.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::Section;

/// Hours of a working day, as Exchange Load Generator counts them.
const DAY_HOURS: f64 = 8.0;
/// Most that a user does of one kind in a day; above, the number is meant for something else.
const MOST_PER_DAY: f64 = 100_000.0;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// One thing that a user does.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Action { $($(#[$doc])* $variant,)+ }

        impl Action {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

actions! {
    /// Writes a mail to another user (SendMail).
    Send = "send",
    /// Answers a mail (SmartReply).
    Reply = "reply",
    /// Passes a mail on to another user (SmartForward).
    Forward = "forward",
    /// Marks a mail as read, or as unread (Sync Change).
    Read = "read",
    /// Flags a mail, or takes the flag away (Sync Change).
    Flag = "flag",
    /// Deletes a mail (Sync Delete).
    Delete = "delete",
    /// Files a mail in another folder (MoveItems).
    Move = "move",
    /// Enters, changes or deletes an appointment (Sync Add, Change, Delete).
    Calendar = "calendar",
    /// Enters, changes or deletes a contact (Sync Add, Change, Delete).
    Contact = "contact",
    /// Makes, renames or deletes a folder (FolderCreate, FolderUpdate, FolderDelete).
    Folder = "folder",
    /// Sends a mail with an attachment, and opens that of another (ItemOperations Fetch).
    Attachment = "attachment",
    /// Searches the mailbox or the address list (Search).
    Search = "search",
    /// Looks at the automatic reply, or sets it (Settings).
    Oof = "oof",
    /// Calls a meeting with another user (SendMail with a calendar part).
    Meeting = "meeting",
    /// Answers a meeting request (MeetingResponse).
    Respond = "respond",
}

/// What the users of a kind of devices do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityPlan {
    /// Name of the mix, or empty for one of the scenario's own.
    pub name: String,
    /// How often each thing happens on a working day of eight hours, on each device.
    pub per_day: Vec<(Action, f64)>,
    /// How many times faster than in life.
    pub speed: f64,
}

/// How often each thing happens on a working day.
type Mix = [(Action, f64)];

/// Exchange Load Generator's heavy user does 132 things a day (Dell, Best Practices BP1013: "Heavy …
/// 132 tasks per user day", 8 hours); how they are split is this project's own.
const HEAVY: [(Action, f64); 15] = [
    (Action::Send, 12.0),
    (Action::Reply, 14.0),
    (Action::Forward, 4.0),
    (Action::Read, 50.0),
    (Action::Flag, 8.0),
    (Action::Delete, 18.0),
    (Action::Move, 6.0),
    (Action::Calendar, 6.0),
    (Action::Contact, 2.0),
    (Action::Folder, 0.5),
    (Action::Attachment, 5.0),
    (Action::Search, 4.0),
    (Action::Oof, 0.5),
    (Action::Meeting, 1.0),
    (Action::Respond, 1.0),
];

/// Somebody who lives on the telephone: appointments, addresses, much searching, little filing. An
/// assumption of this project.
const SALES: [(Action, f64); 15] = [
    (Action::Send, 10.0),
    (Action::Reply, 14.0),
    (Action::Forward, 6.0),
    (Action::Read, 40.0),
    (Action::Flag, 4.0),
    (Action::Delete, 8.0),
    (Action::Move, 1.0),
    (Action::Calendar, 10.0),
    (Action::Contact, 6.0),
    (Action::Folder, 0.0),
    (Action::Attachment, 8.0),
    (Action::Search, 12.0),
    (Action::Oof, 1.0),
    (Action::Meeting, 4.0),
    (Action::Respond, 4.0),
];

/// The mixes by name: what each is a share of.
const MIXES: [(&str, &Mix, f64); 4] = [
    ("light", &HEAVY, 0.25),
    ("medium", &HEAVY, 0.5),
    ("heavy", &HEAVY, 1.0),
    ("sales-on-the-road", &SALES, 1.0),
];

impl ActivityPlan {
    /// A mix by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, mix, share) = MIXES.into_iter().find(|(known, ..)| *known == name)?;
        Some(Self {
            name: name.to_owned(),
            per_day: mix
                .iter()
                .map(|(what, count)| (*what, count * share))
                .collect(),
            speed: 1.0,
        })
    }

    /// How many things a device does in a second, all together.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let per_day: f64 = self.per_day.iter().map(|(_, count)| count).sum();
        per_day * self.speed / (DAY_HOURS * 3600.0)
    }

    /// The one at that place, from 0 to 1, of all weighed by how often they happen.
    #[must_use]
    pub fn at(&self, place: f64) -> Option<Action> {
        let total: f64 = self.per_day.iter().map(|(_, count)| count).sum();
        let mut left = place * total;
        let found = self.per_day.iter().find(|(_, count)| {
            left -= count;
            left < 0.0
        });
        found.or(self.per_day.last()).map(|(action, _)| *action)
    }

    /// Whether that is done at all.
    #[must_use]
    pub fn has(&self, action: Action) -> bool {
        self.per_day
            .iter()
            .any(|(one, count)| *one == action && *count > 0.0)
    }
}

impl fmt::Display for ActivityPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_hour = self.per_second() * 3600.0;
        match self.name.as_str() {
            "" => {
                let counts = self.per_day.iter();
                let counts: Vec<String> = counts
                    .map(|(action, count)| format!("{} {count}", action.as_str()))
                    .collect();
                let counts = counts.join(", ");
                write!(formatter, "{per_hour:.1} actions an hour ({counts} a day)")
            }
            name => write!(formatter, "{name} activity ({per_hour:.1} actions an hour)"),
        }
    }
}

/// The key `activity`: a name, or a table of counts per working day; absent, as in `common`.
pub(super) fn activity(
    section: &Section<'_>,
    common: Option<&ActivityPlan>,
    speed: f64,
) -> Option<ActivityPlan> {
    let own = if section.is_table("activity") {
        section.section("activity").and_then(table)
    } else {
        named(section)
    };
    let plan = if section.has("activity") {
        own
    } else {
        common.cloned()
    };
    plan.map(|plan| ActivityPlan { speed, ..plan })
}

fn named(section: &Section<'_>) -> Option<ActivityPlan> {
    /// For a kind of devices without any, among others that have some.
    const NONE: &str = "none";
    let text = section.text("activity")?;
    let plan = ActivityPlan::named(&text);
    if plan.is_none() && text != NONE {
        let names: Vec<String> = MIXES
            .iter()
            .map(|(name, ..)| format!("\"{name}\""))
            .collect();
        section.problem(
            "activity",
            format!(
                "expected {}, \"{NONE}\", or a table of counts per working day such as {{ send = 10, \
                 read = 40 }}, found \"{text}\"",
                names.join(", ")
            ),
        );
    }
    plan
}

fn table(section: Section<'_>) -> Option<ActivityPlan> {
    let per_day: Vec<(Action, f64)> = Action::ALL
        .iter()
        .filter_map(|action| {
            let count = section.number(action.as_str(), 0.0..=MOST_PER_DAY)?;
            Some((*action, count))
        })
        .collect();
    let total: f64 = per_day.iter().map(|(_, count)| count).sum();
    let is_empty = total <= 0.0;
    if is_empty {
        let names: Vec<&str> = Action::ALL.iter().map(|one| one.as_str()).collect();
        section.problem(
            "send",
            format!("expected a count above 0 for one of {}", names.join(", ")),
        );
    }
    section.finish();
    (!is_empty).then(|| ActivityPlan {
        name: String::new(),
        per_day,
        speed: 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_what_their_sources_say() {
        let per_day = |name: &str| ActivityPlan::named(name).unwrap().per_second() * 8.0 * 3600.0;
        assert!((per_day("heavy") - 132.0).abs() < 1e-9);
        assert!((per_day("medium") - 66.0).abs() < 1e-9);
        assert!((per_day("light") - 33.0).abs() < 1e-9);
        for (name, mix, _) in MIXES {
            let listed: Vec<Action> = mix.iter().map(|(action, _)| *action).collect();
            assert_eq!(listed, Action::ALL, "{name}");
        }
        assert_eq!(ActivityPlan::named("lazy"), None);
    }

    #[test]
    fn a_kind_has_the_speed_of_all_unless_it_says_another() {
        let text = "name = \"x\"\n[mock]\n[devices]\ncount = 3\nactivity_speed = 60\n\
            [[devices.profile]]\nname = \"a\"\nactivity = \"heavy\"\n\
            [[devices.profile]]\nname = \"b\"\nactivity = { read = 10 }\nactivity_speed = 2\n\
            [[devices.profile]]\nname = \"c\"\nactivity = \"none\"\n\
            [[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n";
        let plan = crate::parse("x.toml", text).unwrap();
        let speeds = plan.devices.profiles.iter();
        let speeds: Vec<Option<f64>> = speeds
            .map(|kind| kind.activity.as_ref().map(|plan| plan.speed))
            .collect();
        assert_eq!(speeds, [Some(60.0), Some(2.0), None]);
        let wrong = text.replace("{ read = 10 }", "{ raed = 10 }");
        let error = crate::parse("x.toml", &wrong).unwrap_err();
        let lines: Vec<String> = error.lines();
        assert!(lines.iter().any(|line| line.contains("raed")), "{lines:?}");
        assert!(
            lines.iter().any(|line| line.contains("above 0")),
            "{lines:?}"
        );
        let wrong = text.replace("\"heavy\"", "\"lazy\"");
        let lines = crate::parse("x.toml", &wrong).unwrap_err().lines();
        assert!(lines[0].contains("sales-on-the-road"), "{lines:?}");
    }

    #[test]
    fn actions_come_as_often_as_they_weigh() {
        let plan = ActivityPlan {
            name: String::new(),
            per_day: vec![(Action::Send, 3.0), (Action::Read, 0.0), (Action::Oof, 1.0)],
            speed: 1.0,
        };
        let drawn = (0..1000).map(|one| plan.at(f64::from(one) / 1000.0).unwrap());
        let sent = drawn.filter(|one| *one == Action::Send).count();
        assert_eq!(sent, 750);
        assert_eq!(plan.at(0.999_999), Some(Action::Oof));
        assert!(!plan.has(Action::Read));
    }
}
