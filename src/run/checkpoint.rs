//! The record of a run that goes on, written now and then: a kill must not cost what no interval holds.

use tokio::task::JoinHandle;

use crate::measure::{RunFiles, TimelineError};
use crate::report::RunRecord;

/// Writes on a thread for blocking work, one after the other: a disk may take its time, and the next
/// second does not wait for it.
#[derive(Debug, Default)]
pub(super) struct Checkpoints(Option<JoinHandle<Result<(), TimelineError>>>);

impl Checkpoints {
    /// Whether the last one is still being written.
    pub(super) fn is_busy(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|writing| !writing.is_finished())
    }

    /// Begins one.
    ///
    /// # Errors
    /// When the last one could not be written, or this one cannot be begun. Neither ends a run: its
    /// intervals are elsewhere.
    pub(super) async fn begin(
        &mut self,
        record: &RunRecord,
        files: &RunFiles,
    ) -> Result<(), TimelineError> {
        self.end().await?;
        let unwritten = record.unwritten(files)?;
        self.0 = Some(tokio::task::spawn_blocking(|| unwritten.write()));
        Ok(())
    }

    /// Waits for the last one, so that what is written next comes after it.
    ///
    /// # Errors
    /// When it could not be written.
    pub(super) async fn end(&mut self) -> Result<(), TimelineError> {
        match self.0.take() {
            // A writer that panicked has said so itself.
            Some(writing) => writing.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}
