//! `easload bench`: what holding Pings costs. (Filled in by a later commit.)

use clap::Args;

use super::Exit;

#[derive(Debug, Args)]
pub(super) struct Arguments {}

#[allow(clippy::unused_async)]
pub(super) async fn main(_: Arguments) -> Exit {
    Exit::Usage
}
