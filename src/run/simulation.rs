//! What a run has in a simulated world: the network, and invariants that are looked at.

use std::sync::Arc;
use std::time::Duration;

use client::device::{Identity, Profile, Record, Refusals};
use mock_api::control::Truth;
use scenario::Plan;
use sim_net::SimNet;
use tokio::runtime::Handle;
use tokio::time::sleep;
use verdict::timeline::Interval;

use super::invariants::{Expected, Invariants, OfSenders, Second, ServerPorts};
use super::{RunningMock, Servers};
use crate::mail::Turns;
use crate::measure::Recorder;

/// What a run has in a simulated world.
pub(super) struct Simulation {
    pub(super) invariants: Arc<Invariants>,
    pub(super) net: SimNet,
    /// Whether faults strike that the seed draws.
    pub(super) faults: bool,
    /// The turns of the mail senders, if there are any.
    turns: Option<Arc<Turns>>,
}

/// The ports of a mock's servers.
pub(super) fn ports(mock: Option<&RunningMock>) -> ServerPorts {
    let servers = mock.iter().flat_map(|mock| &mock.addresses().servers);
    let (clients, back_ends) = servers
        .map(|server| (server.listen.port(), server.back_end.port()))
        .unzip();
    ServerPorts { clients, back_ends }
}

impl Simulation {
    /// Of devices of those users, whose reports go on to `inner`.
    pub(super) fn new<F>(
        (net, faults): (SimNet, bool),
        (plan, users): (&Plan, &[u32]),
        mock: Option<&RunningMock>,
        servers: &Servers<F>,
        refusals: &Arc<Refusals>,
        inner: Arc<dyn Record>,
    ) -> Self {
        let invariants = Invariants::new(
            users,
            Expected::of(plan),
            Arc::clone(refusals),
            ports(mock),
            servers.uses(),
            inner,
        );
        Self {
            invariants: Arc::new(invariants),
            net,
            faults,
            turns: None,
        }
    }

    /// Who hears the mail senders.
    pub(super) fn of_senders(
        &mut self,
        senders: &[(Arc<Identity>, Arc<Profile>)],
        turns: &Arc<Turns>,
    ) -> Arc<dyn Record> {
        self.turns = Some(Arc::clone(turns));
        let senders = senders
            .iter()
            .map(|(identity, _)| (identity.device, identity.user));
        Arc::new(OfSenders::new(&self.invariants, senders))
    }

    /// Looks at the invariants. `truth` is the mock's, from the same moment.
    pub(super) fn second(&self, recorder: &Recorder, interval: &Interval, truth: Option<Truth>) {
        self.invariants.second(Second {
            interval,
            census: recorder.states(),
            missing: recorder.missing(),
            astray: recorder.astray(),
            contradictions: self.net.check_changes(),
            connections: self.net.connections(),
            truth,
        });
    }

    /// When everything of a run is closed, nothing is left: no socket that a program owns, no task besides the
    /// network's, and so no timer of a task, no login under way and no mail sender's turn taken.
    pub(super) async fn at_end(&self, refusals: &Refusals) {
        /// Longer than any FIN is under way.
        const LAST_SEGMENTS: Duration = Duration::from_secs(1);
        sleep(LAST_SEGMENTS).await;
        let rows = self.net.rows().into_iter();
        let sockets = rows.filter(|row| row.owned).map(|row| {
            format!(
                "a socket is left when the run ends: {} to {}, {}",
                row.local,
                row.remote,
                row.state.netstat()
            )
        });
        let mut left: Vec<String> = sockets.collect();
        left.extend(self.net.check());
        let tasks = Handle::current().metrics().num_alive_tasks();
        let (logins, waiting) = refusals.open();
        let turns = self.turns.as_ref().map_or(0, |turns| turns.taken());
        for (count, what) in [
            (tasks.saturating_sub(self.net.tasks()), "tasks"),
            (logins, "logins under way"),
            (waiting, "requests that wait to log in"),
            (turns, "turns of mail senders"),
        ] {
            if count > 0 {
                left.push(format!("{count} {what} are left when the run ends"));
            }
        }
        self.invariants.at_end(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::device::{Event, LoginKind};
    use sim_net::{Local, Path};

    struct Nobody;

    impl Record for Nobody {
        fn record(&self, _: u32, _: Event<'_>) {}
    }

    /// What is broken when a run ends like that.
    async fn left(simulation: Simulation, refusals: &Refusals) -> String {
        simulation.at_end(refusals).await;
        simulation.invariants.broken().join("\n")
    }

    fn simulation(refusals: &Arc<Refusals>) -> Simulation {
        let invariants = Invariants::new(
            &[0],
            Expected::default(),
            Arc::clone(refusals),
            ServerPorts::default(),
            Arc::default(),
            Arc::new(Nobody),
        );
        Simulation {
            invariants: Arc::new(invariants),
            net: SimNet::new(1, Path::default()),
            faults: false,
            turns: None,
        }
    }

    fn refusals() -> Arc<Refusals> {
        Arc::new(Refusals::new(1, 3, 1.0))
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_a_sound_run() {
        let refusals = refusals();
        let mut simulation = simulation(&refusals);
        simulation.turns = Some(Arc::new(Turns::new(2)));
        // A socket in TIME_WAIT and the network's task belong to no program.
        let at = "10.0.0.2:443".parse().unwrap();
        let listener = simulation.net.listen(at, 8).unwrap();
        let local = Local::ephemeral("10.0.0.1".parse().unwrap());
        drop(simulation.net.connect(local, at).await.unwrap());
        drop(listener);
        assert_eq!(left(simulation, &refusals).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn socket_that_a_program_owns_is_left() {
        let refusals = refusals();
        let simulation = simulation(&refusals);
        let at = "10.0.0.2:443".parse().unwrap();
        let _listener = simulation.net.listen(at, 8).unwrap();
        let found = left(simulation, &refusals).await;
        assert_eq!(
            found,
            "a socket is left when the run ends: 10.0.0.2:443 to 10.0.0.2:0, LISTENING"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn task_that_does_not_end_is_left() {
        let refusals = refusals();
        let task = tokio::spawn(std::future::pending::<()>());
        let found = left(simulation(&refusals), &refusals).await;
        assert_eq!(found, "1 tasks are left when the run ends");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn login_that_was_never_settled_is_left() {
        let refusals = refusals();
        let _login = refusals.admit(0, LoginKind::Answered).await;
        let found = left(simulation(&refusals), &refusals).await;
        assert_eq!(found, "1 logins under way are left when the run ends");
    }

    #[tokio::test(start_paused = true)]
    async fn turn_of_a_mail_sender_that_is_not_given_back_is_left() {
        let refusals = refusals();
        let mut simulation = simulation(&refusals);
        let turns = Arc::new(Turns::new(2));
        turns.lose();
        simulation.turns = Some(turns);
        let found = left(simulation, &refusals).await;
        assert_eq!(found, "1 turns of mail senders are left when the run ends");
    }
}
