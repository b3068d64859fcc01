//! One device's whole life, step by step, with every request and answer: what a person runs first
//! against a new server. The device is the one that runs live in their thousands ([`Life`]), with a
//! tap on its transport.

mod commands;
mod tap;
mod transcript;

use std::sync::Arc;
use std::time::Duration;

use client::device::{
    Behaviour, Client, Event, Identity, Life, PingEnd, Profile, Record, Refusals, Trouble,
    device_random, is_no_server,
};
use client::transport::{Transport, advice, silence};
use eas::Command;
use eas::status::{HttpStatus, Reaction};
use tap::{Received, Sent, Tap};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::run::PATIENCE;

pub use commands::try_commands;

/// Time for three refused requests: after each refusal a device waits for a minute.
const WHOLE_LIMIT: Duration = Duration::from_secs(180);
/// Exchange tells of a mail within its polling of 5 s; a slow server gets longer.
const MAIL_LIMIT: Duration = Duration::from_secs(30);
/// What is answered earlier was not held.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Failures in a row after which the rest would be the same.
const MAX_FAILURES: u32 = 3;
/// A probe ends with the first refusal. The device holds a Ping while the sender of the mail logs in, so one
/// login more may be under way.
const REFUSALS: u32 = 2;

/// Name of the step that needs no login with some servers.
const OPTIONS: &str = "OPTIONS";

/// What is probed, and how far.
pub struct Probe {
    /// The device.
    pub identity: Arc<Identity>,
    /// Its kind.
    pub profile: Arc<Profile>,
    /// How long the Ping is held before it is given up.
    pub hold: Duration,
    /// The mail address that gets a mail while the Ping is held, if any: the device's own.
    pub mail_to: Option<String>,
    /// Show bodies.
    pub bodies: bool,
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The device's life works.
    Alive,
    /// It does not, for this reason.
    Stuck(String),
    /// The server cannot be used at all: it is no ActiveSync server, or it refuses the login.
    Unusable(String),
    /// There is no connection to the server.
    Unreachable(String),
}

/// What the tap and the device tell.
enum Heard {
    Sent(Box<Sent>),
    Received(Box<Received>),
    /// A status or a body that is not as it should be.
    Wrong(String),
    /// Items of an answer were skipped; the device goes on.
    Skipped(String),
    /// The user's login is refused, or there is no token.
    Refused(String),
    /// A message came, with this subject.
    Item(String),
    /// A held request was answered as it should be, that long after it was sent.
    Held(Duration),
}

/// Tells of what the device made of an answer.
struct Ear(UnboundedSender<Heard>);

impl Record for Ear {
    fn record(&self, _: u32, event: Event<'_>) {
        let wrong = match event {
            Event::Status { command, code } => eas::status::name(command, code),
            Event::BadBody { text, .. } => text.to_owned(),
            Event::Skipped { text, .. } => {
                let _ = self.0.send(Heard::Skipped(text.to_owned()));
                return;
            }
            Event::ItemSynced { subject, .. } => {
                let _ = self.0.send(Heard::Item(subject.to_owned()));
                return;
            }
            Event::PingEnded {
                end: PingEnd::Expired { .. } | PingEnd::Changes,
                age,
            } => {
                let _ = self.0.send(Heard::Held(age));
                return;
            }
            Event::NotRedirected { text } => text.to_owned(),
            Event::TokenFailed { text } => {
                let _ = self.0.send(Heard::Refused(text.to_owned()));
                return;
            }
            Event::Refused { why, .. } => {
                let why = why.unwrap_or("the server refuses the user's password");
                let _ = self.0.send(Heard::Refused(why.to_owned()));
                return;
            }
            _ => return,
        };
        // Nobody listens any more when the probe is over.
        let _ = self.0.send(Heard::Wrong(wrong));
    }
}

/// Plays one device and prints what it sees.
pub async fn probe<T: Transport + 'static>(
    probe: &Probe,
    mut transport: impl FnMut() -> T,
    mut print: impl FnMut(&str),
) -> ProbeOutcome {
    let (tell, heard) = unbounded_channel();
    let refusals = Arc::new(Refusals::new(1, REFUSALS, 1.0));
    let transport_of_device = transport();
    let is_tls = transport_of_device
        .origin()
        .is_some_and(|origin| origin.secure);
    let mut client = Client::new(
        Tap::new(transport_of_device, tell.clone()),
        Arc::clone(&probe.identity),
        Arc::clone(&probe.profile),
        Arc::clone(&refusals),
        Arc::new(Ear(tell)),
    );
    // The server is not waited for meanwhile. What fails is heard from the device.
    let _ = client.fetch_token().await;
    let life = Life::new(client, Arc::new(Behaviour::default()), device_random(1, 0));
    let life = Task(tokio::spawn(life.run()));
    let mut story = Story::new(probe, &mut print, is_tls);
    let mut sender = probe.mail_to.as_ref().map(|_| {
        Client::new(
            transport(),
            sender(&probe.identity),
            Arc::clone(&probe.profile),
            refusals,
            Arc::new(Silent),
        )
    });
    let outcome = story.listen(heard, &mut sender).await;
    drop(life);
    story.conclude(&outcome);
    outcome
}

/// Ends with the probe.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The sender's own requests are no part of the device's life.
struct Silent;

impl Record for Silent {
    fn record(&self, _: u32, _: Event<'_>) {}
}

/// The same user under another DeviceId, because a device has one request open at a time and its is
/// the Ping.
fn sender(identity: &Identity) -> Arc<Identity> {
    Arc::new(Identity {
        device: identity.device,
        user: identity.user,
        user_name: identity.user_name.clone(),
        authorization: identity.authorization.clone(),
        device_id: format!("{}MAIL", identity.device_id),
    })
}

struct Story<'a> {
    probe: &'a Probe,
    print: &'a mut dyn FnMut(&str),
    is_tls: bool,
    /// The request that waits for its answer.
    sent: Option<Sent>,
    /// When it went out; before the first, when the device began.
    asked_at: Instant,
    /// Name, outcome and time of each.
    steps: Vec<(String, String, Duration)>,
    /// Since the last request that was held and answered well.
    failures: u32,
    /// What was wrong last.
    wrong: Option<String>,
    held_since: Option<Instant>,
    mail_at: Option<Instant>,
    /// In its subject.
    mail_id: String,
    has_synced_mail: bool,
    /// Requests in a row that were answered instead of held.
    not_held: u32,
}

impl<'a> Story<'a> {
    fn new(probe: &'a Probe, print: &'a mut dyn FnMut(&str), is_tls: bool) -> Self {
        Self {
            probe,
            print,
            asked_at: Instant::now(),
            is_tls,
            sent: None,
            steps: Vec::new(),
            failures: 0,
            wrong: None,
            held_since: None,
            mail_at: None,
            mail_id: format!("probe-{:08x}", rand::random::<u32>()),
            has_synced_mail: false,
            not_held: 0,
        }
    }

    async fn listen<T: Transport>(
        &mut self,
        mut heard: UnboundedReceiver<Heard>,
        sender: &mut Option<Client<T>>,
    ) -> ProbeOutcome {
        let end = Instant::now() + WHOLE_LIMIT + self.probe.hold;
        loop {
            let until = match (self.held_since, self.mail_at) {
                (Some(_), Some(sent)) => sent + MAIL_LIMIT,
                (Some(since), None) => since + self.probe.hold,
                (None, _) if self.is_silent() => self.asked_at + PATIENCE,
                (None, _) => end,
            };
            let next = tokio::select! {
                next = heard.recv() => next,
                () = sleep_until(until.min(end)) => {
                    match self.timed_out(sender, end).await {
                        Some(outcome) => return outcome,
                        None => continue,
                    }
                }
            };
            let Some(next) = next else {
                let why = self.wrong.take();
                return ProbeOutcome::Stuck(why.unwrap_or_else(|| "the device gave up".to_owned()));
            };
            if let Some(outcome) = self.hear(next) {
                return outcome;
            }
        }
    }

    /// The Ping was held long enough, or something took too long.
    async fn timed_out<T: Transport>(
        &mut self,
        sender: &mut Option<Client<T>>,
        end: Instant,
    ) -> Option<ProbeOutcome> {
        if self.is_silent() {
            let is_connected = self.sent.is_some();
            return Some(ProbeOutcome::Unreachable(silence(
                self.is_tls,
                is_connected,
                PATIENCE,
            )));
        }
        if Instant::now() >= end {
            let limit = WHOLE_LIMIT.as_secs();
            let last = self.wrong.take();
            let last =
                last.map_or_else(String::new, |wrong| format!("; the last problem: {wrong}"));
            return Some(ProbeOutcome::Stuck(format!(
                "no end within {limit} s{last}"
            )));
        }
        if self.mail_at.is_some() {
            let limit = MAIL_LIMIT.as_secs();
            let text =
                format!("a mail was sent, and within {limit} s the server did not tell of it");
            return Some(ProbeOutcome::Stuck(text));
        }
        let Some(client) = sender else {
            let held = transcript::time(self.probe.hold);
            self.note(&format!("held for {held}, as it should be; given up"));
            self.step("held", self.probe.hold);
            return Some(ProbeOutcome::Alive);
        };
        let to = self.probe.mail_to.clone().unwrap_or_default();
        self.note(&format!("held; a mail goes to {to} by SendMail"));
        let sent = timeout_at(end, send(client, &to, &self.mail_id)).await;
        self.mail_at = Some(Instant::now());
        let text = match sent {
            Ok(Ok(())) => return None,
            Ok(Err(trouble)) => crate::mail::explain(&trouble),
            Err(_) => "no answer in time".to_owned(),
        };
        Some(ProbeOutcome::Stuck(format!("SendMail: {text}")))
    }

    fn hear(&mut self, heard: Heard) -> Option<ProbeOutcome> {
        match heard {
            Heard::Sent(sent) => {
                if sent.held && self.has_synced_mail {
                    self.note("the mail is there, and the device waits again");
                    return Some(ProbeOutcome::Alive);
                }
                let number = self.steps.len() + 1;
                (self.print)(&transcript::request(number, &sent, self.probe.bodies));
                self.held_since = sent.begun.filter(|_| sent.held).map(|begun| begun.sent);
                if !sent.held {
                    self.not_held = 0;
                }
                self.sent = Some(*sent);
                self.asked_at = Instant::now();
                None
            }
            Heard::Received(received) => self.received(&received),
            Heard::Skipped(text) => {
                self.note(&text);
                None
            }
            Heard::Item(subject) => {
                self.has_synced_mail |= subject.contains(&self.mail_id);
                None
            }
            Heard::Held(age) => {
                self.failures = 0;
                if age < AT_ONCE || self.probe.mail_to.is_some() {
                    return None;
                }
                self.note("held until the server answered");
                Some(ProbeOutcome::Alive)
            }
            Heard::Refused(text) => {
                self.note(&text);
                let is_first = match self.steps.split_last() {
                    Some((_, before)) => before.iter().all(|(name, ..)| name == OPTIONS),
                    None => true,
                };
                Some(if is_first {
                    ProbeOutcome::Unusable(text)
                } else {
                    ProbeOutcome::Stuck(text)
                })
            }
            Heard::Wrong(text) => {
                self.note(&text);
                // What OPTIONS says does not get better by asking again.
                if self.has_only_asked_options() {
                    return Some(ProbeOutcome::Unusable(text));
                }
                self.failures += 1;
                self.wrong = Some(text);
                self.stuck()
            }
        }
    }

    /// Whether the server has yet to answer a request, and never answered one that needs a login. As
    /// before a run, such a server gets [`PATIENCE`].
    fn is_silent(&self) -> bool {
        let waits = self.sent.is_some() || self.steps.is_empty();
        waits && self.has_only_asked_options()
    }

    /// Whether nothing was answered yet that needs a login.
    fn has_only_asked_options(&self) -> bool {
        self.steps.iter().all(|(name, ..)| name == OPTIONS)
    }

    fn received(&mut self, received: &Received) -> Option<ProbeOutcome> {
        let sent = self.sent.take()?;
        let name = transcript::name(&sent);
        (self.print)(&transcript::answer(
            received,
            sent.method,
            self.probe.bodies,
        ));
        self.held_since = None;
        let is_first = self.steps.is_empty();
        match &received.answer {
            Ok(answer) => {
                let outcome = format!("HTTP {}", answer.status);
                self.steps
                    .push((name.clone(), outcome.clone(), received.after));
                if sent.held && received.after < AT_ONCE && answer.status == 200 {
                    self.not_held += 1;
                    if self.not_held >= MAX_FAILURES {
                        let text = format!("the server answers {name} at once and holds nothing");
                        return Some(ProbeOutcome::Stuck(text));
                    }
                }
                // What is wrong inside a good answer is told by the device.
                if answer.status != 200 {
                    self.failures += 1;
                    let status = HttpStatus::from_code(answer.status);
                    let mut text = format!("{name} was answered with HTTP {status}");
                    if sent.held && received.after >= AT_ONCE {
                        text.push_str(&format!(" after {}", transcript::time(received.after)));
                    }
                    if is_first && is_no_server(status) {
                        return Some(ProbeOutcome::Unusable(text));
                    }
                    // The device would ask again in a minute, and be told the same. A refusal is its to tell.
                    let is_final = matches!(
                        status.reaction(),
                        Reaction::GiveUp | Reaction::FixRequest | Reaction::Reauthenticate
                    );
                    if is_first && is_final && status != HttpStatus::Unauthorized {
                        return Some(ProbeOutcome::Stuck(text));
                    }
                    self.wrong = Some(text);
                }
            }
            Err(failure) => {
                self.steps
                    .push((name.clone(), failure.to_string(), received.after));
                if is_first {
                    let advice = advice(&failure.kind, self.is_tls);
                    return Some(ProbeOutcome::Unreachable(format!("{failure}{advice}")));
                }
                self.failures += 1;
                let after = transcript::time(received.after);
                self.wrong = Some(if sent.held {
                    format!("{name}: {failure} after {after}")
                } else {
                    format!("{name}: {failure}")
                });
            }
        }
        self.stuck()
    }

    /// The outcome once nothing but failures comes.
    fn stuck(&mut self) -> Option<ProbeOutcome> {
        (self.failures >= MAX_FAILURES)
            .then(|| ProbeOutcome::Stuck(self.wrong.take().unwrap_or_default()))
    }

    fn step(&mut self, outcome: &str, after: Duration) {
        if let Some(sent) = self.sent.take() {
            let name = transcript::name(&sent);
            self.steps.push((name, outcome.to_owned(), after));
        }
    }

    fn note(&mut self, text: &str) {
        (self.print)(&transcript::note(text));
    }

    fn conclude(&mut self, outcome: &ProbeOutcome) {
        self.step("no answer yet", Duration::ZERO);
        let mut text = String::from("\nstep              outcome              time\n");
        for (name, outcome, after) in &self.steps {
            /// The whole text stands above.
            const WIDTH: usize = 60;
            let mut outcome = outcome.clone();
            if let Some((end, _)) = outcome.char_indices().nth(WIDTH) {
                outcome.truncate(end);
                outcome.push('…');
            }
            text.push_str(&format!(
                "{name:<16}  {:<18}  {}\n",
                text::clean(&outcome),
                transcript::time(*after)
            ));
        }
        text.push_str(&match outcome {
            ProbeOutcome::Alive => {
                "\nThe device lives: the server holds its requests.\n".to_owned()
            }
            ProbeOutcome::Stuck(why) | ProbeOutcome::Unusable(why) => {
                format!("\nThe device is stuck: {}\n", text::clean(why))
            }
            ProbeOutcome::Unreachable(why) => {
                format!("\nThere is no connection: {}\n", text::clean(why))
            }
        });
        (self.print)(&text);
    }
}

async fn send<T: Transport>(client: &mut Client<T>, to: &str, id: &str) -> Result<(), Trouble> {
    let mime = format!(
        "From: <{to}>\r\nTo: <{to}>\r\nSubject: easload {} {id}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\nSent by easload to see it arrive.\r\n",
        Command::Ping
    );
    client.options().await?;
    client.provision().await?;
    client.send_mail(id, mime.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::transport::{Answer, ConnectionEnd, Failure, FailureKind, Method, Peer, Timing};

    fn asked() -> Probe {
        Probe {
            identity: Arc::new(Identity {
                device: 0,
                user: 0,
                user_name: "load0001".to_owned(),
                authorization: "Basic eA==".to_owned().into(),
                device_id: "EASLOAD00000001".to_owned(),
            }),
            profile: Arc::new(client::device::Profile::default()),
            hold: Duration::from_secs(60),
            mail_to: None,
            bodies: false,
        }
    }

    fn sent(command: &str) -> Heard {
        Heard::Sent(Box::new(Sent {
            method: Method::Post,
            path: format!(
                "/Microsoft-Server-ActiveSync?Cmd={command}&User=a&DeviceId=b&DeviceType=c"
            ),
            headers: Vec::new(),
            body: Vec::new(),
            held: command == "Ping",
            begun: None,
            peer: Peer::default(),
        }))
    }

    fn answered(status: u16, after: Duration) -> Heard {
        let timing = Timing {
            sent: Instant::now(),
            total: after,
        };
        let answer = Answer::from_parts(status, &[], Vec::new(), timing, ConnectionEnd::Kept);
        Heard::Received(Box::new(Received {
            answer: Ok(answer),
            after,
        }))
    }

    fn cut(after: Duration) -> Heard {
        Heard::Received(Box::new(Received {
            answer: Err(Failure {
                kind: FailureKind::Reset,
                sent: None,
                reused: true,
            }),
            after,
        }))
    }

    /// The outcome after a life up to the first Ping and then those events, and the number of events that were heard.
    fn heard(events: Vec<Heard>) -> (Option<ProbeOutcome>, usize) {
        let asked = asked();
        let mut print = |_: &str| {};
        let mut story = Story::new(&asked, &mut print, false);
        for command in ["Provision", "FolderSync", "Sync"] {
            assert_eq!(story.hear(sent(command)), None);
            assert_eq!(story.hear(answered(200, Duration::from_millis(20))), None);
        }
        for (number, event) in events.into_iter().enumerate() {
            if let Some(outcome) = story.hear(event) {
                return (Some(outcome), number + 1);
            }
        }
        (None, 0)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn a_late_504_is_no_held_ping() {
        let (outcome, _) = heard(vec![sent("Ping"), answered(504, LONG)]);
        assert_eq!(outcome, None, "one gateway timeout proves nothing");
        let three = (0..3).flat_map(|_| [sent("Ping"), answered(504, LONG)]);
        let (outcome, events) = heard(three.collect());
        let Some(ProbeOutcome::Stuck(why)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(events, 6);
        assert!(
            why.contains("HTTP 504") && why.contains("after 20000.0 ms"),
            "{why}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_that_is_answered_late_and_well_is_held() {
        let (outcome, _) = heard(vec![sent("Ping"), answered(200, LONG), Heard::Held(LONG)]);
        assert_eq!(outcome, Some(ProbeOutcome::Alive));
        // Not before the device has read the answer: its body may say Status 5.
        let (outcome, _) = heard(vec![sent("Ping"), answered(200, LONG)]);
        assert_eq!(outcome, None);
    }

    #[tokio::test(start_paused = true)]
    async fn three_cut_or_refused_pings_end_the_probe_with_the_reason() {
        let soon = Duration::from_millis(3);
        type Answers = fn(Duration) -> Heard;
        let cases: [(Answers, Duration, &str); 3] = [
            (cut, LONG, "Ping: "),
            (cut, soon, "Ping: "),
            (
                |after| answered(403, after),
                soon,
                "Ping was answered with HTTP 403",
            ),
        ];
        for (answer, after, part) in cases {
            // The device syncs in between, which says nothing of Pings.
            let one = || {
                [
                    sent("Ping"),
                    answer(after),
                    sent("Sync"),
                    answered(200, soon),
                ]
            };
            let (outcome, events) = heard((0..3).flat_map(|_| one()).collect());
            let Some(ProbeOutcome::Stuck(why)) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(events, 10, "the third answer ends it");
            assert!(why.starts_with(part), "{why}");
            // A held Ping in between makes the next failure the first one.
            let held = [sent("Ping"), answered(200, soon), Heard::Held(soon)];
            let two = || (0..2).flat_map(|_| one());
            assert_eq!(heard(two().chain(held).chain(two()).collect()).0, None);
        }
    }
}
