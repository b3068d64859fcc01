//! What front door and worker say to each other: length-prefixed messages over one byte stream
//! in each direction, many requests at once, matched by number.
//!
//! Not HTTP/2, which the first design named: a held request then costs a map entry and a one-shot
//! channel on each side instead of a stream with its windows and tasks, and the worker's end of
//! the stream is its standard input, which the operating system closes when the front door dies.

use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use mock_api::config::MockConfig;
use mock_api::control::{UserSettings, WorkerCounts};
use mock_api::fault::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use crate::headers::{HeaderLines, RequestHeader};
use crate::store::{StoreCall, StoreReply};

/// Largest request body: `httpRuntime maxRequestLength` of Exchange 2016, 10,240 kB.
pub(crate) const MAX_BODY: u64 = 10_240 << 10;
/// Largest message: a request body of Exchange's `maxRequestLength` (10,240 kB) with room around.
const MAX_MESSAGE: usize = 24 << 20;
/// Largest body of an answer, and largest question and reply of the store. It leaves 64 KiB for the
/// headers and the number around it.
pub(crate) const MAX_CONTENT: usize = MAX_MESSAGE - (64 << 10);
/// Enough that a burst of small messages is one write.
const WRITE_BUFFER: usize = 64 << 10;

/// The application of the pool that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum App {
    /// `Default Web Site`, port 443: authenticates and forwards.
    FrontEnd,
    /// `Exchange Back End`, port 444: executes.
    BackEnd,
}

/// A request, without what HTTP.sys has dealt with already.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireRequest {
    /// Method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// The headers that matter.
    pub headers: Vec<(RequestHeader, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// The user whom the client's certificate names.
    pub certificate_user: Option<String>,
}

impl WireRequest {
    /// A header's value.
    #[must_use]
    pub fn header(&self, wanted: RequestHeader) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| *header == wanted)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderLines,
    /// Body.
    pub body: Vec<u8>,
    /// The connection ends with this answer.
    pub closes: bool,
    /// What the IIS log says of the request.
    pub log: RequestLog,
}

/// What the back end knows of a request that the IIS log shows (the `Log=` part).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLog {
    /// The user that was authenticated.
    pub user: Option<String>,
    /// Protocol version times ten.
    pub version: Option<u8>,
    /// Heartbeat of a Ping or hanging Sync, in seconds.
    pub heartbeat: Option<u32>,
    /// The folders it watched.
    pub folders: Vec<u32>,
}

/// Front door to worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message.
    Start(Box<WorkerStart>),
    /// A request to work on.
    Request {
        /// Its number.
        id: u64,
        /// Its application.
        app: App,
        /// Itself.
        request: WireRequest,
    },
    /// The client of that request has gone.
    ClientGone {
        /// The request.
        id: u64,
        /// By a reset, not by a proper end.
        reset: bool,
    },
    /// The answer to a store call.
    StoreReply(u64, Result<StoreReply, u16>),
    /// An item was added to a folder of that user.
    ItemAdded {
        /// The user.
        user: String,
        /// The folder.
        folder: u32,
        /// The device that added it, which is not told.
        by: Option<String>,
    },
    /// A user's folder hierarchy changed.
    HierarchyChanged {
        /// The user.
        user: String,
        /// The device that changed it, which is not told.
        by: Option<String>,
    },
    /// New faults, in place of all before.
    Faults(Vec<Fault>),
    /// A user's settings have changed.
    User(String, UserSettings),
    /// The mailbox database moves.
    StoreFailover,
    /// WAS asks whether the worker lives.
    Ping(u64),
    /// No more requests will come: end when the last is completed.
    Drain,
}

/// What a worker needs to begin.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerStart {
    /// The mock's configuration.
    pub config: MockConfig,
    /// Which worker of the mock this is, from 1.
    pub generation: u64,
    /// Its server, from 1.
    pub server: usize,
    /// Where the back end listens.
    pub back_end: std::net::SocketAddr,
    /// Faults in force.
    pub faults: Vec<Fault>,
    /// Users whose settings are not the default.
    pub users: Vec<(String, UserSettings)>,
}

/// Worker to front door.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToFrontDoor {
    /// Ready to serve.
    Ready {
        /// Process id.
        pid: u32,
    },
    /// The answer to a request.
    Answer(u64, WireAnswer),
    /// A request is held, or waits for another server: it needs no thread any more.
    Async(u64),
    /// A request whose client has gone is completed.
    Completed(u64),
    /// The worker lives.
    Pong(u64),
    /// A question to the store.
    StoreCall(u64, Box<StoreCall>),
    /// Counts, once in [`COUNTS_EVERY`].
    Counts(WorkerCounts),
    /// Drained: nothing is left to do.
    Drained,
}

/// How often a worker reports its counts. Performance counters are read at most once a second, so
/// half of that keeps every reading fresh.
pub const COUNTS_EVERY: Duration = Duration::from_millis(500);

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(MAX_MESSAGE)
        .new_codec()
}

/// Messages that may wait for the other side to read them: far more than a side that lives leaves
/// unread, some 100 MB of announcements.
pub const MAX_QUEUED: usize = 1 << 20;

/// Sends messages until every sender is dropped or the other side is gone. Nobody waits for room in the
/// channel, since that could deadlock: a side that leaves [`MAX_QUEUED`] messages unread hangs.
pub async fn send_all<M: Serialize>(
    mut messages: mpsc::Receiver<M>,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(WRITE_BUFFER);
    while let Some(message) = messages.recv().await {
        buffer = append(buffer, &message)?;
        while buffer.len() < WRITE_BUFFER
            && let Ok(message) = messages.try_recv()
        {
            buffer = append(buffer, &message)?;
        }
        output.write_all(&buffer).await?;
        output.flush().await?;
        buffer.clear();
        buffer.shrink_to(4 * WRITE_BUFFER);
    }
    Ok(())
}

/// Writes a message behind others, as [`codec`] reads it: its length first, in 4 bytes.
fn append<M: Serialize>(mut buffer: Vec<u8>, message: &M) -> io::Result<Vec<u8>> {
    const LENGTH: usize = size_of::<u32>();
    let start = buffer.len();
    buffer.extend_from_slice(&[0; LENGTH]);
    let mut buffer = postcard::to_extend(message, buffer).map_err(io::Error::other)?;
    let length = buffer.len() - start - LENGTH;
    if length > MAX_MESSAGE {
        return Err(io::Error::other("a message of the link is too long"));
    }
    buffer[start..start + LENGTH].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(buffer)
}

/// Receives messages.
#[derive(Debug)]
pub struct Receiver<R> {
    frames: FramedRead<R, LengthDelimitedCodec>,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// Reads from that stream.
    pub fn new(input: R) -> Self {
        Self {
            frames: FramedRead::new(input, codec()),
        }
    }

    /// The next message; `None` when the other side has ended.
    ///
    /// # Errors
    /// When the stream breaks or holds something else.
    pub async fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        match self.frames.next().await {
            None => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(frame)) => postcard::from_bytes(&frame)
                .map(Some)
                .map_err(io::Error::other),
        }
    }
}
