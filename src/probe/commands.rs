//! Everything a user can do, tried once, and what the server said to each command of it: what a person
//! wants to know of a server that is new to them.

use std::sync::Arc;
use std::time::Duration;

use client::device::{
    Activity, Behaviour, Client, Event, Identity, Life, Profile, Record, Refusals, Rehearsed,
    device_random,
};
use client::transport::Transport;
use eas::Command;
use parking_lot::Mutex;
use rand::Rng as _;
use scenario::{Action, ActivityPlan};
use text::clean;

use super::Probe;
use crate::mail::explain;

/// What the answers of a step said.
#[derive(Default)]
struct Notes {
    /// Command, HTTP status, time.
    answers: Vec<(String, u16, Duration)>,
    wrong: Vec<String>,
}

struct Notebook(Arc<Mutex<Notes>>);

impl Record for Notebook {
    fn record(&self, _: u32, event: Event<'_>) {
        let mut notes = self.0.lock();
        match event {
            Event::Answered {
                command,
                http_status,
                took,
                ..
            } => {
                let name = command.map_or("OPTIONS", Command::as_str).to_owned();
                notes.answers.push((name, http_status, took));
            }
            Event::Status { command, code } => notes.wrong.push(eas::status::name(command, code)),
            Event::BadBody { text, .. }
            | Event::Skipped { text, .. }
            | Event::Failed { text, .. } => {
                notes.wrong.push(text.to_owned());
            }
            Event::Refused { why, .. } => notes
                .wrong
                .push(why.unwrap_or("the password is refused").to_owned()),
            _ => {}
        }
    }
}

/// Tries everything as a device of its own, with mails to the user's own address; whether all of it went
/// as it should.
pub async fn try_commands<T: Transport>(
    probe: &Probe,
    address: &str,
    transport: T,
    mut print: impl FnMut(&str),
) -> bool {
    let notes = Arc::new(Mutex::new(Notes::default()));
    let client = Client::new(
        transport,
        identity(&probe.identity),
        profile(&probe.profile, address),
        // One after the other, and none after a refusal.
        Arc::new(Refusals::new(1, 1, 1.0)),
        Arc::new(Notebook(Arc::clone(&notes))),
    );
    let life = Life::new(client, Arc::new(Behaviour::default()), device_random(1, 0));
    print(&format!(
        "\nEverything a user can do, mails to {address}\n{:<34} {:<10} commands\n",
        "step", "outcome"
    ));
    let mut step = "";
    let mut failed = 0;
    let tell = |told: Rehearsed| {
        let outcome = match told {
            Rehearsed::Begins(name) => {
                step = name;
                *notes.lock() = Notes::default();
                return;
            }
            Rehearsed::Done => "done".to_owned(),
            Rehearsed::LeftOut => "left out".to_owned(),
            Rehearsed::Failed(trouble) => {
                failed += 1;
                format!("FAILED: {}", explain(&trouble))
            }
        };
        print(&row(step, &outcome, &notes.lock()));
    };
    match life.rehearse(tell).await {
        Ok(()) => failed == 0,
        Err(trouble) => {
            let text = format!("FAILED: {}", explain(&trouble));
            print(&row(step, &text, &notes.lock()));
            false
        }
    }
}

/// A line of the table; what was wrong stands below it.
fn row(step: &str, outcome: &str, notes: &Notes) -> String {
    let answers = notes.answers.iter().map(|(name, status, took)| {
        let ms = took.as_secs_f64() * 1e3;
        match status {
            200 => format!("{name} {ms:.0} ms"),
            status => format!("{name} HTTP {status} {ms:.0} ms"),
        }
    });
    let answers: Vec<String> = answers.collect();
    let outcome = clean(outcome);
    let mut text = format!("{step:<34} {outcome:<10} {}\n", answers.join(", "));
    for wrong in &notes.wrong {
        // What a server says must not move the cursor.
        text.push_str(&format!("    {}\n", clean(wrong)));
    }
    text
}

/// Under a DeviceId of its own: it begins with nothing known.
fn identity(identity: &Identity) -> Arc<Identity> {
    Arc::new(Identity {
        device_id: format!("{}ALL", identity.device_id),
        ..identity.clone()
    })
}

fn profile(profile: &Profile, address: &str) -> Arc<Profile> {
    let per_day = Action::ALL.iter().map(|action| (*action, 1.0)).collect();
    Arc::new(Profile {
        activity: Some(Arc::new(Activity {
            plan: ActivityPlan {
                name: String::new(),
                per_day,
                speed: 1.0,
            },
            addresses: Arc::new([address.to_owned()]),
            run: rand::rng().random(),
        })),
        ..profile.clone()
    })
}
