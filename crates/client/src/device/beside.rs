//! What a device's user does while a request is held: over another connection, and the held one is
//! read all the while.

use std::pin::Pin;
use std::sync::Arc;

use eas::Command;
use tokio::time::{Instant, sleep_until};

use super::event::{Event, Record};
use super::guard::LoginOutcome;
use super::held::Held;
use super::life::Life;
use super::trouble::Trouble;
use crate::transport::{Abandon, Answer, Failure, Transport};

/// How the wait for an answer ended.
pub(super) enum Waited<A> {
    /// At that instant.
    Answered(A, Instant),
    /// The user is about to do something that the request cannot stay open for.
    Interrupted,
    /// What the user did met trouble that the device has to mend first.
    Troubled(Trouble),
}

/// The server has a request more of the device while this is there.
struct Acting {
    record: Arc<dyn Record>,
    device: u32,
}

impl Acting {
    fn begin(record: &Arc<dyn Record>, device: u32) -> Self {
        record.record(device, Event::Acting { open: true });
        Self {
            record: Arc::clone(record),
            device,
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        self.record
            .record(self.device, Event::Acting { open: false });
    }
}

impl<T: Transport> Life<T> {
    /// Waits, and lets the user act meanwhile. A Ping stays open, as a telephone's does; a Sync that
    /// hangs is given up, because the next one would end it.
    pub(super) async fn wait_and_act(
        &mut self,
        held: Held,
        deadline: Instant,
    ) -> Waited<Result<Answer, Trouble>> {
        let other = self.client.transport.another();
        let mut waiting = std::mem::replace(&mut self.client.transport, other);
        // The login of the held request stays open while others come and go.
        self.client.admitted = 0;
        let waited = self.attend(&mut waiting, held, deadline).await;
        self.client.transport = waiting;
        // What the user did may have been given up with its request under way.
        self.client.settle(LoginOutcome::Lost);
        self.client.admitted = held.login;
        match waited {
            Waited::Answered(answer, at) => {
                Waited::Answered(self.client.received(held.command, answer), at)
            }
            Waited::Interrupted => Waited::Interrupted,
            Waited::Troubled(trouble) => Waited::Troubled(trouble),
        }
    }

    async fn attend(
        &mut self,
        waiting: &mut T,
        held: Held,
        deadline: Instant,
    ) -> Waited<Result<Answer, Failure>> {
        let mut answer = std::pin::pin!(waiting.answer(deadline));
        loop {
            let mut due = self.desk.as_ref().map_or(deadline, |desk| desk.due);
            if held.command == Command::Sync && due < deadline {
                let after = due.saturating_duration_since(held.sent);
                due = due.max(held.sent + self.earliest_end(held, after));
            }
            tokio::select! {
                // A seed fixes which of two that come at once is first.
                biased;
                answer = &mut answer => return Waited::Answered(answer, Instant::now()),
                () = sleep_until(due) => {
                    if held.command == Command::Sync {
                        return Waited::Interrupted;
                    }
                    match self.act_beside(answer.as_mut()).await {
                        (Some((answer, at)), _) => return Waited::Answered(answer, at),
                        (None, Err(trouble)) => return Waited::Troubled(trouble),
                        (None, Ok(())) => {}
                    }
                }
            }
        }
    }

    /// Acts, and gives the answer that came meanwhile, if one did, and what is to be mended. After an
    /// answer that is left to the next request that meets it.
    async fn act_beside<A>(
        &mut self,
        mut answer: Pin<&mut impl Future<Output = A>>,
    ) -> (Option<(A, Instant)>, Result<(), Trouble>) {
        let _open = Acting::begin(&self.client.record, self.client.identity.device);
        let mut act = Box::pin(self.act());
        let (arrived, acted) = tokio::select! {
            acted = &mut act => (None, acted),
            answer = &mut answer => {
                let at = Instant::now();
                (Some((answer, at)), act.as_mut().await)
            }
        };
        drop(act);
        // The next act connects anew: a telephone's second connection does not outlive its use.
        self.client.transport.abandon(Abandon::Fin);
        (arrived, acted)
    }
}
