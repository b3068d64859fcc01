//! The `[mail]` table: how much mail comes in, when, and through which door.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::format_duration;

use super::reader::Section;
use super::split_port;

/// A short message.
const SIZE: u64 = 1 << 10;
/// Below `maxRequestLength` of Exchange, with room for headers.
const MAX_SIZE: u64 = 9 << 20;
/// Enough for 100 mails a second at 80 ms each.
const SENDERS: u64 = 8;
/// A heartbeat's worth of patience is more than any working server needs.
const LATE_AFTER: Duration = Duration::from_secs(60);
/// Mail domain of a lab that names none, as in RFC 2606.
pub(super) const DOMAIN: &str = "lab.example";
/// A day of real life.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// When people come to work: a run that begins at night would begin with nothing.
const FROM: &str = "08:00";

/// A mail schedule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MailPlan {
    /// Mails per second; with a curve, on average over the day.
    pub rate: f64,
    /// So many at once.
    pub burst: u32,
    /// How the rate changes over a day; none: not at all.
    pub curve: Option<CurvePlan>,
    /// Through which door.
    pub door: MailDoor,
    /// The SMTP server, `host:port`, for that door.
    pub smtp: Option<String>,
    /// Mail domain of the users.
    pub domain: String,
    /// Bytes of text: at least and at most; drawn so that every magnitude in between is as likely.
    pub size: (usize, usize),
    /// Senders at once (SendMail only).
    pub senders: u32,
    /// An accepted mail is late after this.
    pub late_after: Duration,
}

/// How much of a day's mail comes in each of its hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePlan {
    /// How long a day takes.
    pub day: Duration,
    /// The hour in which mail begins, from 0 to 24.
    pub from: f64,
}

impl CurvePlan {
    /// Of 24 hours, how many times the average comes in each: an office's day, with a peak before and
    /// after lunch. A shape of this project's own; the sum is 24.
    pub const OFFICE_HOURS: [f64; 24] = [
        0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.2, 2.2, 2.7, 2.7, 2.2, 1.5, 2.0, 2.4, 2.2, 1.6, 0.9,
        0.4, 0.3, 0.2, 0.1, 0.1, 0.1,
    ];
}

/// Through which door mail goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailDoor {
    /// EAS SendMail; works on any server.
    SendMail,
    /// SMTP in plain text, to a relay of the lab: as real mail comes, whatever state ActiveSync is
    /// in.
    Smtp,
    /// The mock's control API.
    Control,
}

impl MailPlan {
    /// How much of what comes when, in a few words.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{} a second", self.rate);
        if self.burst > 1 {
            text.push_str(&format!(" in bursts of {}", self.burst));
        }
        if let Some(curve) = &self.curve {
            let day = format_duration(curve.day);
            text.push_str(&format!(
                " over office hours of days of {day}, from {:02}:{:02} on",
                curve.from as u32,
                (curve.from.fract() * 60.0) as u32
            ));
        }
        match self.size {
            (from, to) if from == to => text.push_str(&format!(", {from} bytes")),
            (from, to) => text.push_str(&format!(", {from} to {to} bytes")),
        }
        text
    }
}

pub(super) fn mail(section: Section<'_>, is_mock: bool) -> Option<MailPlan> {
    let rate = section.required("rate", section.number("rate", 0.001..=1e5), "20");
    let doors = [
        ("send-mail", MailDoor::SendMail),
        ("smtp", MailDoor::Smtp),
        ("control", MailDoor::Control),
    ];
    let door = section.choice("door", &doors).unwrap_or(MailDoor::SendMail);
    let smtp = section.text("smtp");
    if smtp.is_some() != (door == MailDoor::Smtp) {
        section.problem(
            "smtp",
            "door = \"smtp\" and smtp = \"relay.lab.example:25\" belong together",
        );
    }
    if let Some(server) = &smtp
        && split_port(server).is_none()
    {
        section.problem(
            "smtp",
            "expected host:port, such as \"relay.lab.example:25\"",
        );
    }
    if door == MailDoor::Control && !is_mock {
        section.problem(
            "door",
            "only the mock has a control door; expected \"send-mail\" or \"smtp\"",
        );
    }
    let domain = section.text("domain");
    let plan = MailPlan {
        rate: rate.unwrap_or(1.0),
        burst: section.integer("burst", 1..=100_000).unwrap_or(1) as u32,
        curve: curve(&section),
        door,
        smtp,
        domain: domain.unwrap_or_else(|| DOMAIN.to_owned()),
        size: size(&section),
        senders: section.integer("senders", 1..=1000).unwrap_or(SENDERS) as u32,
        late_after: section.duration("late_after").unwrap_or(LATE_AFTER),
    };
    section.finish();
    rate.map(|_| plan)
}

/// `"4KiB"`, or `"1KiB..200KiB"`.
fn size(section: &Section<'_>) -> (usize, usize) {
    let sizes = section.sizes("size").unwrap_or((SIZE, SIZE));
    if sizes.1 > MAX_SIZE {
        section.problem(
            "size",
            "expected at most 9MiB: Exchange takes requests of 10,240 kB",
        );
    }
    (sizes.0 as usize, sizes.1.min(MAX_SIZE) as usize)
}

/// `curve = "office-hours"`, with `day` and `day_from`.
fn curve(section: &Section<'_>) -> Option<CurvePlan> {
    let named = section.choice("curve", &[("office-hours", ())]);
    let (day, from) = (section.duration("day"), section.text("day_from"));
    let from = from.unwrap_or_else(|| FROM.to_owned());
    let hour = hour(&from);
    if hour.is_none() {
        section.problem(
            "day_from",
            format!("expected a time of day such as \"08:00\", found \"{from}\""),
        );
    }
    if day.is_some_and(|day| day.is_zero()) {
        section.problem("day", "expected more than 0s");
    }
    for key in ["day", "day_from"] {
        if section.has(key) && !section.has("curve") {
            section.problem(key, "belongs to curve = \"office-hours\"");
        }
    }
    named.map(|()| CurvePlan {
        day: day.unwrap_or(DAY),
        from: hour.unwrap_or(0.0),
    })
}

/// `08:30` as 8.5.
fn hour(text: &str) -> Option<f64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| f64::from(hours) + f64::from(minutes) / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_rate_on_average() {
        let sum: f64 = CurvePlan::OFFICE_HOURS.iter().sum();
        assert!((sum - 24.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn times_of_a_day() {
        assert_eq!(hour("08:30"), Some(8.5));
        for wrong in ["8", "24:00", "08:60", "x:00"] {
            assert_eq!(hour(wrong), None, "{wrong}");
        }
    }
}
