//! `easload schema`.

use clap::{Args, ValueEnum};
use verdict::report::RunRecord;

use super::{Exit, print_or_fail};
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Of what.
    #[arg(value_enum, default_value_t = What::Run)]
    what: What,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// JSON schema of run.json.
    Run,
    /// OpenAPI description of the mock's control API.
    Mock,
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    let text = match arguments.what {
        What::Run => serde_json::to_string_pretty(&schemars::schema_for!(RunRecord)),
        What::Mock => serde_json::to_string_pretty(&mock_server::openapi()),
    };
    match text {
        Ok(text) => print_or_fail(format!("{text}\n"), Exit::Passed),
        Err(error) => {
            say(&format!("error: {error}"));
            Exit::Internal
        }
    }
}
