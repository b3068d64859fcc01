//! The target of a plan that names a mail address instead of a URL.

use std::sync::Arc;

use super::RunError;
use super::proxy::proxy;
use crate::device::Identity;
use crate::discover::{DiscoverError, Internet, Question, discover};
use crate::scenario::{Autodiscover, Plan, TargetPlan};
use crate::terminal::say;

/// Asks Autodiscover where the plan says so, with the first user's credentials, and writes the URL into
/// the plan. Every step is told.
pub(super) async fn find_server(
    plan: &mut Plan,
    identities: &[Arc<Identity>],
) -> Result<(), RunError> {
    let proxy = proxy(plan)?;
    let TargetPlan::Server {
        urls,
        ca_file,
        insecure,
        entry,
        ..
    } = &mut plan.target
    else {
        return Ok(());
    };
    let (Some(asked), Some(first)) = (&entry.autodiscover, identities.first()) else {
        return Ok(());
    };
    let address = match asked {
        Autodiscover::Address(address) => address.clone(),
        Autodiscover::FirstUser => first.user_name.clone(),
    };
    let authorization = first.authorization.header().await;
    let authorization = authorization.map_err(RunError::Target)?;
    let mut internet = Internet::new(plan.devices.tls(ca_file.clone(), *insecure)).through(proxy);
    let question = Question {
        address: address.clone(),
        authorization: authorization.to_string(),
        domains: entry.autodiscover_domains.clone(),
    };
    say(&format!("Autodiscover for {address}"));
    let found = discover(&mut internet, &question, &mut |line: &str| say(line)).await;
    match found {
        Ok(target) => {
            *urls = vec![target.url()];
            Ok(())
        }
        Err(error @ DiscoverError::Address(_)) => {
            Err(RunError::Target(format!("[target] autodiscover: {error}")))
        }
        Err(error) => Err(RunError::Unreachable {
            url: format!("Autodiscover for {address}"),
            problem: error.to_string(),
        }),
    }
}
