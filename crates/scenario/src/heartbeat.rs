//! How long devices ask a server to hold: fixed, drawn, or found out by trying.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::Section;

/// Longest heartbeat that MS-ASCMD allows, in seconds.
pub const MAX_HEARTBEAT: u32 = 3540;
/// Where the AOSP client starts, in seconds.
const DEFAULT: u32 = 470;
/// Steps of a free ladder; more would be a mistake.
const MAX_STEPS: usize = 100;

/// How long a device asks the server to hold its Pings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatPlan {
    /// So many seconds.
    Fixed(u32),
    /// So many seconds, drawn once for each device.
    Drawn {
        /// At least.
        from: u32,
        /// At most.
        to: u32,
    },
    /// What the network lets pass, found out by trying.
    Adaptive(Ladder),
}

/// A device that tries longer heartbeats while they work and shorter ones when they do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ladder {
    /// `aosp`, `direct-push`, or empty for one of the user's own.
    pub name: String,
    /// The heartbeats, in seconds, rising.
    pub steps: Vec<u32>,
    /// The first, in seconds; need not be one of the steps.
    pub start: u32,
    /// Where a failure leads.
    pub fall: Fall,
    /// Whether it rises again after a failure on the same network, then only to what has not failed.
    pub rises_again: bool,
}

/// Where a failed Ping leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fall {
    /// To the next shorter step.
    Step,
    /// To the longest heartbeat that has worked, or the shortest step.
    Bottom,
}

impl Ladder {
    /// The Android client of 2009 to 2012 (AOSP's Exchange app: start 470 s, step 180 s, at least
    /// 290 s, at most 1,010 s): after one failure it never rises again on that network.
    #[must_use]
    pub fn aosp() -> Self {
        Self {
            name: "aosp".to_owned(),
            steps: vec![290, 470, 650, 830, 1010],
            start: 470,
            fall: Fall::Step,
            rises_again: false,
        }
    }

    /// Direct Push as Microsoft describes it: starts at 15 minutes, falls to 8, rises by 8, 12, 16
    /// while that works, and keeps the last good value.
    #[must_use]
    pub fn direct_push() -> Self {
        Self {
            name: "direct-push".to_owned(),
            steps: vec![480, 720, 960],
            start: 900,
            fall: Fall::Bottom,
            rises_again: true,
        }
    }
}

impl Default for HeartbeatPlan {
    fn default() -> Self {
        Self::Fixed(DEFAULT)
    }
}

impl HeartbeatPlan {
    /// The longest it may ask for, in seconds.
    #[must_use]
    pub fn longest(&self) -> u32 {
        match self {
            Self::Fixed(seconds) | Self::Drawn { to: seconds, .. } => *seconds,
            Self::Adaptive(ladder) => {
                let steps = ladder.steps.iter().copied();
                steps.chain([ladder.start]).max().unwrap_or(DEFAULT)
            }
        }
    }
}

impl fmt::Display for HeartbeatPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(seconds) => write!(formatter, "{seconds} s"),
            Self::Drawn { from, to } => write!(formatter, "{from} s to {to} s"),
            Self::Adaptive(ladder) if ladder.name.is_empty() => {
                let steps: Vec<String> = ladder.steps.iter().map(u32::to_string).collect();
                write!(
                    formatter,
                    "adaptive from {} s over {} s",
                    ladder.start,
                    steps.join(", ")
                )
            }
            Self::Adaptive(ladder) => {
                write!(
                    formatter,
                    "adaptive as {} (from {} s)",
                    ladder.name, ladder.start
                )
            }
        }
    }
}

/// The key `heartbeat`: `"470s"`, `"5m..15m"`, `"aosp"`, `"direct-push"`, or a table.
pub(super) fn heartbeat(section: &Section<'_>) -> Option<HeartbeatPlan> {
    const EXPECTED: &str = "expected whole seconds from 1s to 3540s such as \"470s\", a range such \
                            as \"5m..15m\", \"aosp\", \"direct-push\", or a table with steps";
    if section.is_table("heartbeat") {
        return section.section("heartbeat").and_then(ladder);
    }
    let text = section.text("heartbeat")?;
    let seconds = |duration: Duration| {
        let seconds = u32::try_from(duration.as_secs()).ok()?;
        let fits = (1..=MAX_HEARTBEAT).contains(&seconds) && duration.subsec_nanos() == 0;
        fits.then_some(seconds)
    };
    let parse = |text: &str| text::parse_duration(text).and_then(seconds);
    let plan = match text.as_str() {
        "aosp" => Some(HeartbeatPlan::Adaptive(Ladder::aosp())),
        "direct-push" => Some(HeartbeatPlan::Adaptive(Ladder::direct_push())),
        text => match text.split_once("..") {
            None => parse(text).map(HeartbeatPlan::Fixed),
            Some((from, to)) => match (parse(from), parse(to)) {
                (Some(from), Some(to)) if from <= to => Some(HeartbeatPlan::Drawn { from, to }),
                _ => None,
            },
        },
    };
    if plan.is_none() {
        section.problem("heartbeat", EXPECTED);
    }
    plan
}

/// `{ steps = ["4m", "8m"], start = "8m", fall = "step", rises_again = false }`.
fn ladder(section: Section<'_>) -> Option<HeartbeatPlan> {
    let seconds = |key: &str, text: &str| {
        let duration = text::parse_duration(text)
            .filter(|duration| duration.subsec_nanos() == 0)
            .filter(|duration| (1..=u64::from(MAX_HEARTBEAT)).contains(&duration.as_secs()));
        if duration.is_none() {
            section.problem(
                key,
                format!("expected whole seconds from 1s to {MAX_HEARTBEAT}s, found \"{text}\""),
            );
        }
        duration.map(|duration| duration.as_secs() as u32)
    };
    let texts = section.required("steps", section.texts("steps"), "[\"4m\", \"8m\", \"12m\"]");
    let steps: Option<Vec<u32>> = texts.as_ref().map(|texts| {
        texts
            .iter()
            .filter_map(|text| seconds("steps", text))
            .collect()
    });
    if let Some(steps) = &steps
        && (!(1..=MAX_STEPS).contains(&steps.len()) || !steps.is_sorted_by(|a, b| a < b))
    {
        section.problem(
            "steps",
            format!("expected 1 to {MAX_STEPS} durations, each longer than the one before"),
        );
    }
    let start = match section.text("start") {
        Some(text) => seconds("start", &text),
        None => steps.as_ref().and_then(|steps| steps.first().copied()),
    };
    let fall = [("step", Fall::Step), ("bottom", Fall::Bottom)];
    let fall = section.choice("fall", &fall).unwrap_or(Fall::Step);
    let rises_again = section.flag("rises_again").unwrap_or(false);
    section.finish();
    Some(HeartbeatPlan::Adaptive(Ladder {
        name: String::new(),
        steps: steps?,
        start: start?,
        fall,
        rises_again,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_ladders_are_those_of_their_sources() {
        let aosp = Ladder::aosp();
        assert_eq!((aosp.start, aosp.steps[0], aosp.steps[4]), (470, 290, 1010));
        assert!(aosp.steps.windows(2).all(|pair| pair[1] - pair[0] == 180));
        assert_eq!(
            HeartbeatPlan::Adaptive(Ladder::direct_push()).longest(),
            960
        );
    }
}
