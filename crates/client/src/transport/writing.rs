//! Writes a request to a server that may answer before it has read all of it: a refusal (401) or a body that is too
//! large (413).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, timeout};

use super::FailureKind;
use super::reading::read_some;
use super::stream::Stream;

/// A peer that takes no more of a request for so long is gone: the largest mail passes a slow
/// mobile network in less.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// What a server sent before it ended the connection is there already, or on a simulated link that delays it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The beginning of an early answer. The rest is read as that of any other.
const EARLY: usize = 1 << 10;

/// How far a request was written.
#[derive(Debug)]
pub(super) struct Written {
    /// When the last piece of it began to be handed over: the system may run a server on this machine, to its answer,
    /// before the writer goes on.
    pub(super) sent: Instant,
    /// The beginning of an answer that came before all of the request was written. The rest of the request is not
    /// written then.
    pub(super) early: Option<Vec<u8>>,
}

/// Writes a request, as far as the server takes it.
pub(super) async fn write<S: Stream>(
    stream: &mut S,
    request: &[u8],
) -> Result<Written, FailureKind> {
    let mut sent = Instant::now();
    let mut rest = request;
    let step = poll_fn(|context| {
        sent = Instant::now();
        poll_step(stream, &mut rest, context)
    });
    let outcome = timeout(WRITE_TIMEOUT, step).await;
    let failed = match outcome {
        Ok(Ok(early)) => return Ok(Written { sent, early }),
        Ok(Err(error)) => FailureKind::from_io(&error),
        Err(_) => FailureKind::TimedOut { received: 0 },
    };
    match timeout(LAST_WORDS, read_some(stream)).await {
        Ok(Ok(bytes)) if !bytes.is_empty() => Ok(Written {
            sent,
            early: Some(bytes),
        }),
        _ => Err(failed),
    }
}

/// Writes what the stream takes. While it takes nothing, looks for an answer.
fn poll_step<S: Stream>(
    stream: &mut S,
    rest: &mut &[u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    loop {
        let step = if rest.is_empty() {
            Pin::new(&mut *stream).poll_flush(context).map_ok(|()| 0)
        } else {
            Pin::new(&mut *stream).poll_write(context, rest)
        };
        match step {
            Poll::Pending => break,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(_)) if rest.is_empty() => return Poll::Ready(Ok(None)),
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => *rest = &rest[count..],
        }
    }
    let mut bytes = [0; EARLY];
    let mut buffer = ReadBuf::new(&mut bytes);
    match Pin::new(stream).poll_read(context, &mut buffer) {
        Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
            Poll::Ready(Ok(Some(buffer.filled().to_vec())))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        // A server that sends nothing more may still read.
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncRead, AsyncWrite};

    use super::*;

    /// Takes so many bytes, and has an answer.
    struct Peer {
        takes: usize,
        /// What it does with the next byte.
        then: fn() -> Poll<io::Result<usize>>,
        says: &'static [u8],
    }

    impl AsyncRead for Peer {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.says == b"never" {
                return Poll::Pending;
            }
            buffer.put_slice(std::mem::take(&mut self.says));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = self.takes.min(bytes.len());
            if count == 0 {
                return (self.then)();
            }
            self.takes -= count;
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Stream for Peer {
        fn reset(self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_while_the_request_is_written_is_read() {
        const ANSWER: &[u8] = b"HTTP/1.1 401 x\r\n";
        let stalls: fn() -> _ = || Poll::Pending;
        let breaks: fn() -> _ = || Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        let zero: fn() -> _ = || Poll::Ready(Ok(0));
        let early = Ok(Some(ANSWER.to_vec()));
        let timed_out = Err(FailureKind::TimedOut { received: 0 });
        for (takes, then, says, expected) in [
            (10, stalls, ANSWER, Ok(None)),
            (9, stalls, ANSWER, early.clone()),
            (9, breaks, ANSWER, early.clone()),
            (0, breaks, ANSWER, early.clone()),
            (9, zero, ANSWER, early),
            (9, stalls, b"".as_slice(), timed_out.clone()),
            (9, stalls, b"never", timed_out),
            (9, breaks, b"", Err(FailureKind::Reset)),
            (9, breaks, b"never", Err(FailureKind::Reset)),
        ] {
            let mut peer = Peer { takes, then, says };
            let written = write(&mut peer, &[b'x'; 10]).await;
            assert_eq!(
                written.map(|written| written.early),
                expected,
                "{takes} {says:?}"
            );
        }
    }
}
