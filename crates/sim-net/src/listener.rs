//! Listening sockets.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{shared::Shared, socket::SERVER, stream::SimStream};

/// A listening socket. Dropping it resets the connections that nobody accepted.
#[derive(Debug)]
pub struct SimListener {
    shared: Arc<Shared>,
    local: SocketAddr,
}

impl SimListener {
    pub(crate) const fn new(shared: Arc<Shared>, local: SocketAddr) -> Self {
        Self { shared, local }
    }

    /// Endpoint.
    ///
    /// # Errors
    ///
    /// None; the form is tokio's.
    pub const fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Waits for a connection. Returns it with the endpoint of the other side.
    ///
    /// # Errors
    ///
    /// None; the form is tokio's.
    pub async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// As [`SimListener::accept`].
    ///
    /// # Errors
    ///
    /// None; the form is tokio's.
    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(SimStream, SocketAddr)>> {
        let accepted = self.shared.with(|inner, _| {
            let listener = inner.listeners.get_mut(&self.local)?;
            let Some(id) = listener.queue.pop_front() else {
                if !listener
                    .wakers
                    .iter()
                    .any(|waker| waker.will_wake(context.waker()))
                {
                    listener.wakers.push(context.waker().clone());
                }
                return None;
            };
            let connection = inner.connections.get_mut(&id)?;
            let remote = connection.remote(SERVER);
            let end = &mut connection.ends[SERVER];
            end.queued = false;
            end.held = true;
            Some((id, end.local, remote))
        });
        let Some((id, local, remote)) = accepted else {
            return Poll::Pending;
        };
        let stream = SimStream::new(Arc::clone(&self.shared), id, SERVER, local, remote);
        Poll::Ready(Ok((stream, remote)))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared
            .with(|inner, now| inner.unlisten(self.local, now));
    }
}
