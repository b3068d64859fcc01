//! Random interleavings of many devices at a model of a server whose passwords change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;

const USERS: u32 = 12;
const DEVICES: u32 = 4;
/// A quarter of the users.
const MOST: usize = 3;
/// All passwords change after this time.
const CHANGE: Duration = Duration::from_secs(40);
const END: Duration = Duration::from_secs(400);

/// What is tried.
#[derive(Debug, Clone, Copy)]
struct Trial {
    seed: u64,
    limit: u32,
    /// The longest time that a refusal takes.
    refusal: Duration,
    /// Whether passwords change.
    changes: bool,
    /// Whether devices report what they give up, and ask before.
    is_honest: bool,
}

#[derive(Debug, Default)]
struct Server {
    refused: Vec<u32>,
    answered: Vec<u32>,
    /// Users that logged in after the share of refused users was reached.
    after: BTreeSet<u32>,
    is_reached: bool,
}

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answers(LoginOutcome),
    /// The connection fails before the server looks at the password.
    Breaks,
}

struct Device {
    trial: Trial,
    user: u32,
    random: Xoshiro256PlusPlus,
    refusals: Arc<Refusals>,
    server: Arc<Mutex<Server>>,
    start: Instant,
}

impl Device {
    fn up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.random())
    }

    fn happens(&mut self, share: f64) -> bool {
        self.random.random::<f64>() < share
    }

    async fn live(mut self) {
        while self.start.elapsed() < END {
            let pause = self.up_to(Duration::from_secs(2));
            sleep(pause).await;
            let kind = match self.random.next_u32() % 4 {
                0 | 1 => LoginKind::Held,
                2 => LoginKind::HeldOnly,
                _ => LoginKind::Answered,
            };
            let admitted = match self.refusals.admit(self.user, kind).await {
                Admitted::ProveFirst => self.refusals.admit(self.user, LoginKind::Answered).await,
                other => other,
            };
            match admitted {
                Admitted::Login(login) => self.request(login, kind.is_held()).await,
                Admitted::ProveFirst => panic!("a proof needs no proof"),
                Admitted::Stopped => return,
            }
            let mut server = self.server.lock();
            if self.refusals.state.lock().doubted as usize >= MOST {
                server.is_reached = true;
            }
        }
    }

    async fn request(&mut self, login: u32, is_held: bool) {
        let user = self.user;
        if self.server.lock().is_reached {
            self.server.lock().after.insert(user);
        }
        let connect = self.up_to(Duration::from_millis(300));
        sleep(connect).await;
        if self.happens(0.05) {
            self.refusals.settle(user, login, LoginOutcome::Unsent);
            return;
        }
        self.refusals.written(user, login);
        let written = Instant::now();
        let (fate, after) = self.arrive(is_held);
        let answered = written + after;
        if self.happens(0.5) {
            let mut gives_up = written + self.up_to(Duration::from_secs(3));
            if self.trial.is_honest && !self.refusals.may_give_up(user, login) {
                gives_up = gives_up.max(written + DECIDED);
            }
            if gives_up < answered {
                sleep_until(gives_up).await;
                let outcome = if self.trial.is_honest {
                    LoginOutcome::Lost
                } else {
                    LoginOutcome::Unsent
                };
                self.refusals.settle(user, login, outcome);
                return;
            }
        }
        sleep_until(answered).await;
        let outcome = match fate {
            Fate::Answers(outcome) => outcome,
            Fate::Breaks => LoginOutcome::Lost,
        };
        if outcome == LoginOutcome::Accepted {
            self.server.lock().answered[user as usize] += 1;
        }
        self.refusals.settle(user, login, outcome);
    }

    /// The server gets the request.
    fn arrive(&mut self, is_held: bool) -> (Fate, Duration) {
        if self.happens(0.05) {
            return (Fate::Breaks, self.up_to(Duration::from_secs(1)));
        }
        if self.happens(0.05) {
            let busy = Fate::Answers(LoginOutcome::Answered);
            return (busy, self.up_to(Duration::from_secs(1)));
        }
        if self.trial.changes && self.start.elapsed() >= CHANGE {
            self.server.lock().refused[self.user as usize] += 1;
            let refused = Fate::Answers(LoginOutcome::Refused);
            return (refused, self.up_to(self.trial.refusal));
        }
        let longest = if is_held { 20 } else { 1 };
        let accepted = Fate::Answers(LoginOutcome::Accepted);
        (accepted, self.up_to(Duration::from_secs(longest)))
    }
}

/// Plays it to its end.
async fn play(trial: Trial) -> Server {
    let share = MOST as f64 / f64::from(USERS);
    let refusals = Arc::new(Refusals::new(USERS as usize, trial.limit, share));
    let server = Arc::new(Mutex::new(Server {
        refused: vec![0; USERS as usize],
        answered: vec![0; USERS as usize],
        ..Server::default()
    }));
    let start = Instant::now();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(trial.seed);
    let mut devices = tokio::task::JoinSet::new();
    for device in 0..USERS * DEVICES {
        let device = Device {
            trial,
            user: device % USERS,
            random: Xoshiro256PlusPlus::seed_from_u64(random.next_u64()),
            refusals: Arc::clone(&refusals),
            server: Arc::clone(&server),
            start,
        };
        devices.spawn(device.live());
    }
    let ended = timeout_at(start + END + Duration::from_secs(60), devices.join_all()).await;
    // Devices of users that wait for others have no end; without a change of passwords there are none.
    assert!(trial.changes || ended.is_ok(), "{trial:?}");
    drop(refusals);
    std::mem::take(&mut *server.lock())
}

fn trials(is_honest: bool, changes: bool) -> impl Iterator<Item = Trial> {
    const REFUSALS: [u64; 3] = [10, 1000, 4900];
    (0..60).map(move |seed| Trial {
        seed,
        limit: 1 + seed as u32 % 5,
        refusal: Duration::from_millis(REFUSALS[seed as usize % 3]),
        changes,
        is_honest,
    })
}

#[tokio::test(start_paused = true)]
async fn no_user_has_more_refused_logins_than_the_limit() {
    let mut most = 0;
    for trial in trials(true, true) {
        let server = play(trial).await;
        let refused = &server.refused;
        assert!(
            refused.iter().all(|count| *count <= trial.limit),
            "{trial:?}: {refused:?}"
        );
        assert!(
            server.after.len() <= MOST,
            "{trial:?}: {:?} logged in after the share was reached",
            server.after
        );
        let at_limit = refused.iter().filter(|count| **count == trial.limit);
        most = most.max(at_limit.count());
    }
    // The bound is reached, so a larger one is not needed.
    assert!(most >= MOST, "{most}");
}

/// The model finds a guard that forgets what devices give up.
#[tokio::test(start_paused = true)]
async fn the_bound_breaks_if_devices_do_not_report_what_they_give_up() {
    let mut broken = 0;
    for trial in trials(false, true) {
        let server = play(trial).await;
        let is_broken = server.refused.iter().any(|count| *count > trial.limit);
        broken += u32::from(is_broken);
    }
    assert!(broken > 20, "{broken}");
}

#[tokio::test(start_paused = true)]
async fn every_user_goes_on_while_passwords_are_right() {
    for trial in trials(true, false) {
        let server = play(trial).await;
        assert_eq!(server.refused, [0; USERS as usize]);
        // One login in five seconds would be 80.
        let least = server.answered.iter().min();
        assert!(least > Some(&30), "{trial:?}: {:?}", server.answered);
    }
}
