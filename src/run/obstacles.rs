//! What would keep a run from beginning, as far as that is known without contacting anybody.

use client::discover::{DiscoverError, is_address};
use client::transport::check_own_sources;
use scenario::{Autodiscover, Plan, TargetPlan};

use super::accounts::{self, missing_secrets};
use super::servers::Servers;
use super::{RunError, check_descriptors};
use crate::observe::descriptors;

/// Everything that would make a run of this plan refuse to begin on this machine, now; each in words. The same
/// functions refuse the run.
#[must_use]
pub fn obstacles(plan: &Plan) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    found.extend(
        check_descriptors(plan, descriptors().map(|(limit, _)| limit))
            .err()
            .iter()
            .map(text),
    );
    let missing = missing_secrets(plan);
    let is_whole = missing.is_empty();
    found.extend(missing);
    match &plan.target {
        TargetPlan::Mock(config) => found.extend(mock_server::unusable_files(config)),
        TargetPlan::Server { urls, entry, .. } => {
            let asks = matches!(entry.autodiscover, Some(Autodiscover::FirstUser));
            if urls.is_empty() && asks {
                found.extend(no_address(plan));
            }
            // Of what is missing it was told already.
            if is_whole {
                let made = Servers::of_plan(&with_url(plan), None, 0);
                found.extend(made.err().iter().map(text));
            }
            let sources = check_own_sources(&plan.devices.sources());
            found.extend(sources.err().iter().map(ToString::to_string));
        }
    }
    found
}

fn text(error: &RunError) -> String {
    error.to_string()
}

/// What is wrong with the first user's name, if it has to be a mail address.
fn no_address(plan: &Plan) -> Option<String> {
    let name = accounts::first_user(plan)?;
    let is_wrong = !is_address(&name);
    is_wrong.then(|| format!("[target] autodiscover: {}", DiscoverError::Address(name)))
}

/// The plan with a URL where Autodiscover would find one, so that its other options can be tried.
fn with_url(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let TargetPlan::Server { urls, .. } = &mut plan.target
        && urls.is_empty()
    {
        urls.push("https://autodiscover.invalid".to_owned());
    }
    plan
}
