//! From which instant a latency counts.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use client::transport::{
    Connect, ConnectError, Connected, Lean, Limits, LocalEnd, Method, Request, Stream, Transport,
};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf,
};
use tokio::time::{Instant, Sleep, advance, sleep};

/// How long a server on this machine works while the writer has not gone on yet.
const DURING_WRITE: Duration = Duration::from_millis(20);

/// A socket whose peer runs inside the write, which may have to wait before.
struct Eager {
    stream: DuplexStream,
    wait: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Eager {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Eager {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(wait) = &mut self.wait {
            if wait.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
        }
        // The first poll moves the clock; what is left of it only yields.
        let _ = pin!(advance(DURING_WRITE)).poll(context);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Stream for Eager {
    fn reset(self) {}
}

/// Makes them; the wait is that of a full send buffer.
struct Loopback {
    wait: Option<Duration>,
}

impl Connect for Loopback {
    type Stream = Eager;

    async fn connect(&self, _: u32) -> Result<Connected<Eager>, ConnectError> {
        let (stream, mut there) = tokio::io::duplex(64 << 10);
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = there.read(&mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let _ = there.write_all(answer).await;
        });
        Ok(Connected {
            stream: Eager {
                stream,
                wait: self.wait.map(|wait| Box::pin(sleep(wait))),
            },
            local: LocalEnd::default(),
            connect: Duration::ZERO,
            tls: None,
        })
    }

    fn host(&self) -> &str {
        "loopback"
    }
}

/// A server on the same machine may have answered before the write returns. What a write waits for is
/// this side's, and no latency of the server.
#[tokio::test(start_paused = true)]
async fn a_server_that_runs_during_the_write_is_not_faster_for_it() {
    for wait in [None, Some(Duration::from_secs(1))] {
        let began = Instant::now();
        let loopback = Loopback { wait };
        let factory = Lean::factory(loopback, 0, Limits::default(), Arc::default());
        let mut transport = factory.make();
        let request = Request {
            method: Method::Post,
            path: "/",
            headers: &[],
            body: b"",
            held: false,
        };
        let begun = transport.begin(request).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let answer = transport.answer(deadline).await.unwrap();
        assert_eq!(begun.sent - began, wait.unwrap_or_default());
        assert_eq!(answer.timing.total, DURING_WRITE);
    }
}
