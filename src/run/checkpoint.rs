//! The record of a run that goes on, written now and then: a kill must not cost what no interval holds.

use tokio::task::JoinHandle;
use verdict::report::RunRecord;
use verdict::timeline::{RunFiles, TimelineError};

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

    /// Begins one; the last one has [ended](Self::end).
    ///
    /// # Errors
    /// When it cannot be begun.
    pub(super) fn begin(
        &mut self,
        record: &RunRecord,
        files: &RunFiles,
    ) -> Result<(), TimelineError> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use scenario::{DEFAULT_SCENARIO, parse};
    use verdict::report::RunState;
    use verdict::timeline::{Directory, Folder as _};

    #[tokio::test]
    async fn one_that_cannot_be_written_is_told_and_the_next_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let run = Directory::create(folder.path(), "run").unwrap();
        let path = run.path().to_owned();
        let files = RunFiles::create(Arc::new(run)).unwrap();
        let (name, text) = DEFAULT_SCENARIO;
        let (plan, began) = (parse(name, text).unwrap(), jiff::Timestamp::UNIX_EPOCH);
        let mut record = RunRecord::begun(plan, began, 1, 1, Vec::new());
        record.save(&files).unwrap();
        let mut checkpoints = Checkpoints::default();
        let in_the_way = path.join(".run.json.tmp");
        std::fs::create_dir(&in_the_way).unwrap();
        checkpoints.begin(&record, &files).unwrap();
        let error = checkpoints.end().await.unwrap_err().to_string();
        assert!(error.contains("run.json"), "{error}");
        checkpoints.end().await.unwrap();
        std::fs::remove_dir(&in_the_way).unwrap();
        record.problems.push("seen".to_owned());
        checkpoints.begin(&record, &files).unwrap();
        checkpoints.end().await.unwrap();
        assert!(!in_the_way.exists());
        let text = std::fs::read_to_string(path.join(RunRecord::FILE)).unwrap();
        let written: RunRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (written.state, written.problems),
            (RunState::Running, record.problems)
        );
    }
}
