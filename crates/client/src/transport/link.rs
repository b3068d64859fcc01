//! The link between a device and the rest of the network: latency and bandwidth over any stream.
//!
//! All of the added round trip is put on what comes in: what a device sees of its request is the same
//! as with half of it on each way, and nothing has to be kept and sent later in the background. While
//! nothing is under way there is neither a buffer nor a timer.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::peer::Peer;
use super::stream::Stream;

/// What a link is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSpeed {
    /// Added to every round trip; a connection takes one.
    pub latency: Duration,
    /// Bytes a second, each way.
    pub bandwidth: Option<u64>,
}

impl LinkSpeed {
    fn takes(&self, bytes: usize) -> Duration {
        self.bandwidth.map_or(Duration::ZERO, |bandwidth| {
            Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64)
        })
    }
}

/// Bytes that move at once: some packets.
const PIECE: usize = 4 << 10;
/// Bytes on the way to the device at most, as a receive window bounds them.
const WINDOW: usize = 256 << 10;
/// What tokio's timers count: so late a piece may go, and the next is not later for it.
const TICK: Duration = Duration::from_millis(1);

/// A stream over a link.
#[derive(Debug)]
pub struct Link<S> {
    inner: S,
    speed: LinkSpeed,
    /// On the way to the device, each with the instant of its arrival.
    coming: VecDeque<(Instant, Coming)>,
    /// Bytes in `coming`.
    queued: usize,
    /// The stream has ended; whatever it said last is in `coming`.
    ended: bool,
    /// When the way in and the way out are free.
    free_in: Instant,
    free_out: Instant,
    timer_in: Option<Pin<Box<Sleep>>>,
    timer_out: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Coming {
    /// Bytes, and how many of them were read.
    Bytes(Vec<u8>, usize),
    End,
    Failure(io::Error),
}

impl<S: Stream> Link<S> {
    /// A stream over a link of that speed.
    pub fn new(inner: S, speed: LinkSpeed) -> Self {
        let now = Instant::now();
        Self {
            inner,
            speed,
            coming: VecDeque::new(),
            queued: 0,
            ended: false,
            free_in: now,
            free_out: now,
            timer_in: None,
            timer_out: None,
        }
    }

    /// Takes what the stream has, and says when it will arrive.
    fn take_in(&mut self, context: &mut Context<'_>) {
        while !self.ended && self.queued < WINDOW {
            let mut piece = [0; PIECE];
            let mut buffer = ReadBuf::new(&mut piece);
            let coming = match Pin::new(&mut self.inner).poll_read(context, &mut buffer) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Coming::End,
                Poll::Ready(Ok(())) => Coming::Bytes(buffer.filled().to_vec(), 0),
                Poll::Ready(Err(error)) => Coming::Failure(error),
            };
            let length = buffer.filled().len();
            self.ended = !matches!(coming, Coming::Bytes(..));
            self.queued += length;
            self.free_in = self.free_in.max(Instant::now()) + self.speed.takes(length);
            self.coming
                .push_back((self.free_in + self.speed.latency, coming));
        }
    }

    /// Gives what has arrived.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        match self.coming.front_mut() {
            Some((_, Coming::Bytes(bytes, read))) => {
                let length = buffer.remaining().min(bytes.len() - *read);
                buffer.put_slice(&bytes[*read..*read + length]);
                *read += length;
                let is_done = *read == bytes.len();
                self.queued -= length;
                if is_done {
                    self.coming.pop_front();
                }
            }
            Some((_, Coming::Failure(error))) => {
                let error = std::mem::replace(error, io::ErrorKind::NotConnected.into());
                return Err(error);
            }
            // The end stays, as that of any stream does.
            Some((_, Coming::End)) | None => {}
        }
        if self.coming.is_empty() {
            self.coming = VecDeque::new();
        }
        Ok(())
    }
}

/// Whether that instant has come; if not, the task is woken then.
fn has_come(
    timer: &mut Option<Pin<Box<Sleep>>>,
    at: Instant,
    context: &mut Context<'_>,
) -> Poll<()> {
    if at <= Instant::now() {
        *timer = None;
        return Poll::Ready(());
    }
    let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    if sleep.deadline() != at {
        sleep.as_mut().reset(at);
    }
    ready!(sleep.as_mut().poll(context));
    *timer = None;
    Poll::Ready(())
}

impl<S: Stream> Stream for Link<S> {
    fn reset(self) {
        self.inner.reset();
    }

    fn peer(&self) -> Peer {
        self.inner.peer()
    }
}

impl<S: Stream> AsyncRead for Link<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = self.get_mut();
        link.take_in(context);
        let Some((at, _)) = link.coming.front() else {
            return Poll::Pending;
        };
        ready!(has_come(&mut link.timer_in, *at, context));
        Poll::Ready(link.give(buffer))
    }
}

impl<S: Stream> AsyncWrite for Link<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let link = self.get_mut();
        ready!(has_come(&mut link.timer_out, link.free_out, context));
        let piece = &bytes[..bytes.len().min(PIECE)];
        let written = ready!(Pin::new(&mut link.inner).poll_write(context, piece))?;
        let now = Instant::now();
        let free = link.free_out.max(now.checked_sub(TICK).unwrap_or(now));
        link.free_out = free + link.speed.takes(written);
        Poll::Ready(Ok(written))
    }

    /// Until the last byte has left.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let link = self.get_mut();
        ready!(Pin::new(&mut link.inner).poll_flush(context))?;
        ready!(has_come(&mut link.timer_out, link.free_out, context));
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    const LATENCY: Duration = Duration::from_millis(40);

    /// Timers count milliseconds.
    fn took(began: Instant, expected: Duration) {
        let took = began.elapsed();
        assert!(
            took >= expected && took <= expected + 2 * TICK,
            "{took:?}, not {expected:?}"
        );
    }

    fn link(bandwidth: Option<u64>) -> (Link<DuplexStream>, DuplexStream) {
        let (here, there) = duplex(1 << 20);
        let speed = LinkSpeed {
            latency: LATENCY,
            bandwidth,
        };
        (Link::new(here, speed), there)
    }

    #[tokio::test(start_paused = true)]
    async fn latency_is_added_once_and_nothing_is_kept_while_nothing_comes() {
        let (mut link, mut there) = link(None);
        let mut bytes = [0; 4];
        let held = timeout(Duration::from_secs(3600), link.read(&mut bytes)).await;
        assert!(held.is_err(), "nothing came");
        assert!(link.timer_in.is_none() && link.timer_out.is_none());
        assert_eq!(link.coming.capacity(), 0);
        for _ in 0..3 {
            let began = Instant::now();
            link.write_all(b"ask").await.unwrap();
            link.flush().await.unwrap();
            let mut asked = [0; 3];
            there.read_exact(&mut asked).await.unwrap();
            assert_eq!(began.elapsed(), Duration::ZERO);
            there.write_all(b"told").await.unwrap();
            link.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"told");
            took(began, LATENCY);
            assert_eq!((link.coming.capacity(), link.queued), (0, 0));
            assert!(link.timer_in.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_what_the_bandwidth_says_each_way() {
        const BODY: usize = 100_000;
        // 1 Mbit a second.
        let (mut link, mut there) = link(Some(125_000));
        let body: Vec<u8> = (0..BODY).map(|number| number as u8).collect();
        let began = Instant::now();
        there.write_all(&body).await.unwrap();
        let mut read = vec![0; BODY];
        link.read_exact(&mut read).await.unwrap();
        assert!(read == body, "in their order");
        took(began, Duration::from_millis(800) + LATENCY);
        let began = Instant::now();
        link.write_all(&body).await.unwrap();
        link.flush().await.unwrap();
        took(began, Duration::from_millis(799));
        there.read_exact(&mut read).await.unwrap();
        assert!(read == body);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_the_end_arrives_before_it() {
        let (mut link, mut there) = link(Some(1000));
        there.write_all(&[7; 500]).await.unwrap();
        drop(there);
        let began = Instant::now();
        let mut read = Vec::new();
        link.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, [7; 500]);
        took(began, Duration::from_millis(500) + LATENCY);
        assert_eq!(link.read(&mut [0]).await.unwrap(), 0, "and the end stays");
    }

    /// A device that gives up meanwhile loses what was on the way, and the other side sees the end.
    #[tokio::test(start_paused = true)]
    async fn giving_up_goes_through_at_once() {
        let (mut link, mut there) = link(Some(1000));
        there.write_all(&[7; 500]).await.unwrap();
        let limit = Duration::from_millis(100);
        let mut byte = [0];
        assert!(timeout(limit, link.read(&mut byte)).await.is_err());
        sleep(limit).await;
        let began = Instant::now();
        link.reset();
        assert_eq!(there.read(&mut byte).await.unwrap(), 0);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
