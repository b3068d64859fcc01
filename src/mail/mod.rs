//! The mail source: an open-loop schedule that no slow server can bend, and the doors through
//! which mail goes: EAS SendMail, SMTP, or the mock's control API. Knows nothing of devices' insides.

mod schedule;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::device::{Client, Trouble};
use client::transport::Transport;
use lettre::address::Envelope;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use mock_api::control::NewMail;
use mock_client::Control;
use parking_lot::Mutex;
use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_net::wall_clock;
use text::lines;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::measure::{Marker, Recorder};

pub use schedule::Schedule;

/// The mail of a run.
#[derive(Debug, Clone)]
pub struct MailTraffic {
    /// When mails are meant to go.
    pub schedule: Schedule,
    /// The users that get some, by number, with their names.
    pub users: Vec<(u32, String)>,
    /// Mail domain.
    pub domain: String,
    /// Bytes of a message's text: at least and at most.
    pub size: (usize, usize),
}

impl MailTraffic {
    fn address(&self, name: &str) -> String {
        address(name, &self.domain)
    }
}

/// A user's mail address; of `DOMAIN\user`, as Windows writes logins, the user counts.
pub(crate) fn address(name: &str, domain: &str) -> String {
    let name = name.rsplit_once('\\').map_or(name, |(_, user)| user);
    if name.contains('@') {
        name.to_owned()
    } else {
        format!("{name}@{domain}")
    }
}

/// A size between those: every magnitude is as likely as every other, as with real mail.
fn size((from, to): (usize, usize), random: &mut Xoshiro256PlusPlus) -> usize {
    let point: f64 = random.random();
    if from == to {
        return from;
    }
    let (low, high) = ((from.max(1) as f64).ln(), (to.max(1) as f64).ln());
    ((low + point * (high - low)).exp() as usize).clamp(from, to)
}

/// Where mail goes in.
pub enum Door<T> {
    /// EAS SendMail over these senders, for each of which there is a turn.
    Eas(Vec<Client<T>>, Arc<Turns>),
    /// An SMTP server of that host and port, without TLS: a relay of the lab.
    Smtp(String, u16),
    /// The control API of a mock.
    Control(Control),
}

/// The turns of mail senders: a mail waits for one.
#[derive(Debug)]
pub struct Turns {
    free: Semaphore,
    /// Senders that are not stopped.
    left: AtomicUsize,
}

impl Turns {
    /// For that number of senders.
    #[must_use]
    pub fn new(senders: usize) -> Self {
        Self {
            free: Semaphore::new(senders),
            left: AtomicUsize::new(senders),
        }
    }

    /// Turns that are taken. None is when no mail is being sent.
    #[must_use]
    pub fn taken(&self) -> usize {
        let left = self.left.load(Ordering::SeqCst);
        left.saturating_sub(self.free.available_permits())
    }

    /// Takes a turn that nobody gives back.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        if let Ok(permit) = self.free.try_acquire() {
            permit.forget();
        }
    }

    /// Ends the turn of a sender whose user was stopped. Without any other sender nobody waits any more.
    fn end(&self, permit: SemaphorePermit<'_>) {
        permit.forget();
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.free.close();
        }
    }
}

/// Sender of mail that comes by SMTP.
const SMTP_SENDER: &str = "easload";
/// How long SMTP may take; relays greet after some seconds where they look at the sender.
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts to get a sender ready (OPTIONS and Provision) before its mail counts as failed.
const READY_ATTEMPTS: u32 = 3;

/// A sender, and whether it has introduced itself to the server.
struct Sender<T> {
    client: Client<T>,
    ready: bool,
}

/// Sends mails on schedule until `stop` is notified, and ends when those under way have been
/// answered.
pub async fn send_on_schedule<T: Transport + 'static>(
    plan: MailTraffic,
    door: Door<T>,
    recorder: Arc<Recorder>,
    mut random: Xoshiro256PlusPlus,
    stop: Arc<Notify>,
) {
    let start = Instant::now();
    let plan = Arc::new(plan);
    let door = Arc::new(match door {
        Door::Eas(clients, turns) => {
            let senders: VecDeque<_> = clients
                .into_iter()
                .map(|client| Sender {
                    client,
                    ready: false,
                })
                .collect();
            OpenDoor::Eas {
                turns,
                senders: Mutex::new(senders),
            }
        }
        Door::Smtp(host, port) => OpenDoor::Smtp(
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
                .port(port)
                .timeout(Some(SMTP_TIMEOUT))
                .build(),
        ),
        Door::Control(control) => OpenDoor::Control(control),
    });
    let mut under_way = JoinSet::new();
    let mut number = 0;
    loop {
        // What is meant to go is entered at its instant, whether or not a sender is free.
        let due = start + plan.schedule.when(number);
        tokio::select! {
            biased;
            () = stop.notified() => break,
            () = sleep_until(due) => {}
        }
        number += 1;
        while under_way.try_join_next().is_some() {}
        let (user, name) = &plan.users[random.random_range(0..plan.users.len())];
        let Some(marker) = recorder.mail_meant(*user, due) else {
            continue;
        };
        let (plan, recorder, door) = (Arc::clone(&plan), Arc::clone(&recorder), Arc::clone(&door));
        let name = name.clone();
        let text = lines(size(plan.size, &mut random));
        // A mail that finds no free sender waits in a task of its own, so the schedule goes on.
        under_way.spawn(async move {
            let sent = door.send(marker, &name, text, &plan, &recorder).await;
            account(&recorder, marker, due, sent);
        });
    }
    while under_way.join_next().await.is_some() {}
}

/// A door in use.
enum OpenDoor<T> {
    /// A sender whose user was stopped is not used any more; without any, the door is closed.
    Eas {
        turns: Arc<Turns>,
        senders: Mutex<VecDeque<Sender<T>>>,
    },
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Control(Control),
}

impl<T: Transport> OpenDoor<T> {
    async fn send(
        &self,
        marker: Marker,
        user: &str,
        text: String,
        plan: &MailTraffic,
        recorder: &Recorder,
    ) -> Result<(), String> {
        match self {
            Self::Control(control) => {
                recorder.mail_sent(marker.id);
                let mail = NewMail {
                    to: vec![user.to_owned()],
                    subject: marker.to_string(),
                    body: text,
                };
                let sent = control.mail(&mail).await;
                sent.map(drop).map_err(|error| error.to_string())
            }
            Self::Smtp(transport) => {
                recorder.mail_sent(marker.id);
                let address = |name: &str| {
                    let address = plan.address(name);
                    address
                        .parse()
                        .map_err(|_| format!("{address} is no mail address"))
                };
                let (from, to) = (address(SMTP_SENDER)?, address(user)?);
                let envelope = Envelope::new(Some(from), vec![to]);
                let envelope = envelope.map_err(|error| error.to_string())?;
                let mime = message(marker, user, SMTP_SENDER, &text, plan);
                let sent = transport.send_raw(&envelope, mime.as_bytes()).await;
                sent.map(drop).map_err(|error| error.to_string())
            }
            Self::Eas { turns, senders } => {
                let permit = turns
                    .free
                    .acquire()
                    .await
                    .map_err(|_| "every sender is stopped")?;
                // In turn, so that one bad sender does not get all mail.
                let taken = senders.lock().pop_front();
                let mut sender = taken.ok_or("no sender is free")?;
                recorder.mail_sent(marker.id);
                let open = recorder.sending();
                let sent = sender.send(marker, user, &text, plan).await;
                drop(open);
                if sender.client.is_stopped() {
                    turns.end(permit);
                } else {
                    senders.lock().push_back(sender);
                }
                sent.map_err(|trouble| explain(&trouble))
            }
        }
    }
}

fn account(recorder: &Recorder, marker: Marker, due: Instant, sent: Result<(), String>) {
    match sent {
        Ok(()) => recorder.mail_accepted(marker.id, due.elapsed()),
        Err(text) => recorder.mail_failed(marker.id, &text),
    }
}

/// A trouble in a few words.
pub(crate) fn explain(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Transport(failure) => failure.to_string(),
        Trouble::Http { status, .. } => format!("HTTP {status}"),
        Trouble::Status(code, _) => format!("Status {code}"),
        Trouble::Body(text) | Trouble::Token(text) => text.clone(),
        Trouble::Renew => "the token was refused".to_owned(),
        Trouble::Stopped => "the user is stopped after refused logins".to_owned(),
        Trouble::Unproven => "the user's password is unproven".to_owned(),
    }
}

impl<T: Transport> Sender<T> {
    async fn send(
        &mut self,
        marker: Marker,
        user: &str,
        text: &str,
        plan: &MailTraffic,
    ) -> Result<(), Trouble> {
        let id = format!("{:08x}-{}-{}", marker.run, marker.id.user, marker.id.number);
        let mime = message(
            marker,
            user,
            self.client.identity().user_name.as_str(),
            text,
            plan,
        );
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = match self.introduce().await {
                Ok(()) => self.client.send_mail(&id, mime.as_bytes()).await,
                Err(trouble) => Err(trouble),
            };
            match sent {
                Err(trouble)
                    if attempt < READY_ATTEMPTS
                        && !self.client.is_stopped()
                        && self.may_repeat(&trouble) => {}
                // The first attempt did arrive; its answer was lost.
                Err(Trouble::Status(code, _)) if attempt > 1 && code == 118 => return Ok(()),
                other => return other,
            }
        }
    }

    /// OPTIONS and Provision, once, and again when the server asks for it.
    async fn introduce(&mut self) -> Result<(), Trouble> {
        if !self.ready {
            self.client.options().await?;
            self.client.provision().await?;
            self.ready = true;
        }
        Ok(())
    }

    /// A repeated mail carries the same ClientId, so the server drops a second copy (Status 118);
    /// up to 12.1 there is no ClientId, and only what certainly did not arrive is repeated.
    fn may_repeat(&mut self, trouble: &Trouble) -> bool {
        use eas::status::Reaction;
        match trouble {
            Trouble::Transport(failure) => {
                let repeatable = self.client.version().sends_mail_as_wbxml();
                failure.sent.is_none()
                    || (repeatable && failure.reused && failure.kind.is_disconnect())
            }
            Trouble::Http { status, .. } if status.reaction() == Reaction::Provision => {
                self.ready = false;
                true
            }
            Trouble::Http { status, .. } if status.reaction() == Reaction::Redirect => {
                self.client.follow(trouble).is_ok()
            }
            Trouble::Renew => true,
            Trouble::Status(_, Reaction::Provision) => {
                self.ready = false;
                true
            }
            _ => false,
        }
    }
}

fn message(marker: Marker, user: &str, from: &str, text: &str, plan: &MailTraffic) -> String {
    let domain = &plan.domain;
    let date = jiff::fmt::rfc2822::to_string(&wall_clock::now().to_zoned(jiff::tz::TimeZone::UTC))
        .unwrap_or_default();
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {marker}\r\nDate: {date}\r\n\
         Message-ID: <{run:08x}.{user_number}.{number}@{domain}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n{body}\r\n",
        from = plan.address(from),
        to = plan.address(user),
        run = marker.run,
        user_number = marker.id.user,
        number = marker.id.number,
        body = text,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_turned_into_a_mail_address() {
        let plan = MailTraffic {
            schedule: Schedule::per_second(1.0),
            users: Vec::new(),
            domain: "lab.example".to_owned(),
            size: (0, 0),
        };
        assert_eq!(plan.address("load1"), "load1@lab.example");
        assert_eq!(plan.address("LAB\\load1"), "load1@lab.example");
        assert_eq!(plan.address("load1@mail.example"), "load1@mail.example");
    }
}
