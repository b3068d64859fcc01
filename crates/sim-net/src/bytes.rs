//! Reading and writing within the receive windows.

use std::{
    io,
    task::{Poll, Waker},
};

use tcp_table::State;
use tokio::time::Instant;

use crate::{
    inner::{Inner, What},
    segment::Kind,
    socket::{Id, Side, other},
};

impl Inner {
    /// Reads up to `most` bytes. Without a waker nobody is woken later.
    pub(crate) fn read(
        &mut self,
        id: Id,
        side: Side,
        waker: Option<&Waker>,
        most: usize,
        now: Instant,
        to: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Ok(0));
        };
        let end = &mut connection.ends[side];
        let read = end.received.take(most, to);
        if read > 0 || most == 0 {
            self.credit(id, other(side), read, now);
        } else if end.finished {
        } else if let Some(failure) = end.failure {
            end.told = true;
            return Poll::Ready(Err(failure.into()));
        } else if end.state != State::Closed {
            if let Some(waker) = waker {
                self.retired.extend(end.reader.replace(waker.clone()));
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(read))
    }

    /// Lets a sender know, once an acknowledgement would have arrived, that bytes were read.
    fn credit(&mut self, id: Id, sender: Side, read: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let latency = connection.ways[other(sender)].latency;
        let way = &mut connection.ways[sender];
        way.space(now);
        if read > 0 {
            way.read.push_back((now + latency, read));
        }
        self.plan_space(id, sender);
    }

    /// Plans when a waiting writer is woken.
    fn plan_space(&mut self, id: Id, side: Side) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let way = &connection.ways[side];
        let waits = connection.ends[side].writer.is_some();
        if let (true, None, Some(&(at, _))) = (waits, way.space, way.read.front()) {
            let key = self.schedule(at, id, side, What::Space);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ways[side].space = Some(key);
            }
        }
    }

    /// A waiting writer learns of space.
    pub(crate) fn space_due(&mut self, id: Id, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ways[side].space = None;
            self.wakes.extend(connection.ends[side].writer.take());
        }
    }

    /// Writes as much as the receiver's window takes.
    pub(crate) fn write(
        &mut self,
        id: Id,
        side: Side,
        waker: &Waker,
        data: &[u8],
        now: Instant,
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let end = &mut connection.ends[side];
        if let (Some(failure), false) = (end.failure, end.told) {
            end.told = true;
            return Poll::Ready(Err(failure.into()));
        }
        if !matches!(end.state, State::Established | State::CloseWait) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let way = &mut connection.ways[side];
        let space = way.space(now).min(data.len());
        let longest = way.longest_segment();
        if space == 0 && !data.is_empty() {
            self.retired.extend(end.writer.replace(waker.clone()));
            self.plan_space(id, side);
            return Poll::Pending;
        }
        for part in data[..space].chunks(longest) {
            self.send(id, side, Kind::Data(part.to_vec()), now);
        }
        Poll::Ready(Ok(space))
    }
}
