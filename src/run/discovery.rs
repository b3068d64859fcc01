//! The target of a plan that names a mail address instead of a URL.

use std::sync::Arc;

use client::device::{Admitted, Authorization, Identity, LoginKind, LoginOutcome, Refusals};
use client::discover::{Ask, DiscoverError, Internet, Question, Service, Web, discover};
use client::transport::Answer;
use scenario::{Autodiscover, Plan, TargetPlan};

use super::RunError;
use super::proxy::proxy;
use crate::terminal::say;

/// A network whose requests with credentials count as logins of a user.
struct Guarded<W> {
    inner: W,
    refusals: Arc<Refusals>,
    user: u32,
}

impl<W: Web> Web for Guarded<W> {
    async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, String> {
        let logs_in = ask.headers.iter().any(|(name, _)| *name == "Authorization");
        if !logs_in {
            return self.inner.ask(ask).await;
        }
        let admitted = self.refusals.admit(self.user, LoginKind::Answered).await;
        let Admitted::Login(login) = admitted else {
            return Err("not asked: the user has been refused too often".to_owned());
        };
        let answer = self.inner.ask(ask).await;
        // A web site may answer anybody, so no answer proves the password.
        let outcome = match &answer {
            Ok(answer) if answer.status == 401 => LoginOutcome::Refused,
            Ok(_) => LoginOutcome::Answered,
            Err(_) if self.inner.was_sent() => LoginOutcome::Lost,
            Err(_) => LoginOutcome::Unsent,
        };
        self.refusals.settle(self.user, login, outcome);
        answer
    }

    fn was_sent(&self) -> bool {
        self.inner.was_sent()
    }

    async fn services(&mut self, service: &str) -> Result<Vec<Service>, String> {
        self.inner.services(service).await
    }
}

/// Asks Autodiscover where the plan says so, with the first user's credentials, and writes the URL into
/// the plan. Every step is told.
pub(super) async fn find_server(
    plan: &mut Plan,
    identities: &[Arc<Identity>],
    refusals: &Arc<Refusals>,
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
    let unreachable = |problem| RunError::Unreachable {
        url: format!("Autodiscover for {address}"),
        problem,
    };
    let authorization = first.authorization.header().await;
    let authorization = authorization.map_err(|problem| match first.authorization {
        Authorization::Certificate => RunError::Target(problem),
        // The source of the tokens gives none, which is no mistake of the scenario.
        Authorization::Fixed(_) | Authorization::Token(_) => unreachable(problem),
    })?;
    let internet = Internet::new(plan.devices.tls(ca_file.clone(), *insecure)).through(proxy);
    let mut internet = Guarded {
        inner: internet,
        refusals: Arc::clone(refusals),
        user: first.user,
    };
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
        Err(error) => Err(unreachable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use client::transport::{ConnectionEnd, Method, Timing};
    use scenario::Target;

    /// Every request ends so; a failure says whether the request was sent.
    struct Ends(Result<u16, bool>);

    impl Web for Ends {
        async fn ask(&mut self, _: Ask<'_>) -> Result<Answer, String> {
            let timing = Timing {
                sent: Instant::now(),
                total: Duration::ZERO,
            };
            let answer =
                |status| Answer::from_parts(status, &[], Vec::new(), timing, ConnectionEnd::Kept);
            self.0.map(answer).map_err(|_| "failed".to_owned())
        }

        async fn services(&mut self, _: &str) -> Result<Vec<Service>, String> {
            Ok(Vec::new())
        }

        fn was_sent(&self) -> bool {
            self.0.is_err_and(|was_sent| was_sent)
        }
    }

    #[tokio::test]
    async fn autodiscover_counts_its_logins() {
        let target = Target::parse("https://a.example").unwrap();
        for (headers, ends, counted) in [
            (&[("Authorization", "x")][..], Ok(401), (1, 0, false)),
            // Any web site may answer so.
            (&[("Authorization", "x")], Ok(200), (0, 0, false)),
            (&[("Authorization", "x")], Ok(503), (0, 0, false)),
            (&[("Authorization", "x")], Err(true), (0, 1, false)),
            (&[("Authorization", "x")], Err(false), (0, 0, false)),
            (&[], Ok(401), (0, 0, false)),
            (&[], Err(true), (0, 0, false)),
        ] {
            let refusals = Arc::new(Refusals::new(1, 3, 1.0));
            let mut web = Guarded {
                inner: Ends(ends),
                refusals: Arc::clone(&refusals),
                user: 0,
            };
            let ask = Ask {
                method: Method::Post,
                target: &target,
                path: "/",
                headers,
                body: "",
            };
            let _ = web.ask(ask).await;
            assert_eq!(refusals.counted(0), counted, "{headers:?} {ends:?}");
        }
    }
}
