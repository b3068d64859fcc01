//! Reads through one buffer per thread, so that a connection that waits has none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::ReadBuf;

use super::stream::Stream;

/// Bytes read at once. Most answers fit in one read; a full window of mail takes several.
const READ_BUFFER: usize = 16 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
}

/// Bytes that were read; none at the end of the stream.
pub(super) type Chunk = std::io::Result<Vec<u8>>;

/// Reads what there is, through the thread's buffer, which is borrowed only inside one poll: a
/// waiting device has none.
pub(super) async fn read_some<S: Stream>(stream: &mut S) -> Chunk {
    poll_fn(|context| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().to_vec())),
            }
        })
    })
    .await
}
