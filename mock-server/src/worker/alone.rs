//! A back end with a store of its own and without a front door, for [`crate::play`]. A request is answered
//! on the thread that asks, without a runtime.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mock_api::config::MockConfig;
use tokio::sync::{mpsc, oneshot};

use super::{Worker, back_end};
use crate::link::{App, ToFrontDoor, WireAnswer, WireRequest, WorkerStart};
use crate::machine::Machine;
use crate::store::Store;

/// Messages of one request that wait for the loop: a question to the store, and what the front door would
/// be told.
const QUEUED: usize = 64;

/// The back end and its store.
pub(crate) struct Alone {
    pub(crate) store: Store,
    worker: Worker,
    queue: mpsc::Receiver<ToFrontDoor>,
}

impl Alone {
    pub(crate) fn new(config: MockConfig) -> Self {
        let store = Store::new(&config);
        let (out, queue) = mpsc::channel(QUEUED);
        let (drained, _) = oneshot::channel();
        let start = WorkerStart {
            config,
            generation: 1,
            server: 1,
            back_end: ([127, 0, 0, 1], 0).into(),
            faults: Vec::new(),
            users: Vec::new(),
        };
        Self {
            store,
            worker: Worker::new(Machine::System, start, out, drained),
            queue,
        }
    }

    /// Answers a request; `None` if it waits for something else than the store.
    pub(crate) fn answer(&mut self, request: &WireRequest) -> Option<WireAnswer> {
        // Dropped at the end: the client is there until it has its answer.
        let (_client, client_gone) = oneshot::channel();
        let serving = back_end::serve(&self.worker, 0, request, App::BackEnd, client_gone);
        let mut serving = pin!(serving);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(answer) = serving.as_mut().poll(&mut context) {
                return answer;
            }
            let mut is_replied = false;
            while let Ok(message) = self.queue.try_recv() {
                let ToFrontDoor::StoreCall(number, call) = message else {
                    continue;
                };
                let (reply, _) = self.store.call(*call);
                if let Some(waiting) = self.worker.store_calls.lock().remove(&number) {
                    // The request that asked is polled next.
                    is_replied |= waiting.send(reply).is_ok();
                }
            }
            if !is_replied {
                return None;
            }
        }
    }
}
