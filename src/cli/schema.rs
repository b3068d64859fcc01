//! `easload schema`.

use super::{Exit, print_or_fail};
use crate::report::RunRecord;

pub(super) fn main() -> Exit {
    match serde_json::to_string_pretty(&schemars::schema_for!(RunRecord)) {
        Ok(text) => print_or_fail(&format!("{text}\n"), Exit::Passed),
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Internal
        }
    }
}
