//! Incidents that show in what is answered, and to whom.

use super::*;
use crate::timeline::SLOW_USERS;

impl RunData<'_> {
    /// Servers that share nothing behind a balancer that sends each request to any of them: a key is unknown although it
    /// was given a moment ago, again and again. A server that loses its state once, or a policy that an administrator
    /// changes, strikes each device once.
    pub(in crate::judge::checks) fn no_affinity(&self) -> Option<LookAlike> {
        /// What happens once is over by then: a key is fresh for five seconds.
        const MIN_INTERVALS: usize = 10;
        /// Share of the intervals in which it happens.
        const SPREAD: f64 = 0.2;
        let forgotten = self.answers(&[Counter::KeysForgotten]);
        let before = self.before_recycle_phase();
        let is_struck = |one: &&&Interval| one.count(Counter::KeysForgotten) > 0;
        let struck = before.iter().filter(is_struck).count();
        let is_spread = struck >= MIN_INTERVALS && struck as f64 >= SPREAD * before.len() as f64;
        (forgotten.is_pattern() && is_spread).then(|| LookAlike {
            name: "requests reach servers that do not share their state (a load balancer without affinity)",
            evidence: format!(
                "{} times a server did not know a key that it had given less than 5 s before, in {struck} of {} \
                 intervals; {} keys were unknown altogether",
                forgotten.count,
                before.len(),
                total(&before, Counter::KeysUnknown)
            ),
            explains: forgotten.rises,
        })
    }

    /// Something before the server answers with a page.
    pub(super) fn web_pages(&self) -> Option<LookAlike> {
        let pages = self.answers(&[Counter::WebPages]);
        pages.is_pattern().then(|| LookAlike {
            name: "a web page is answered in place of ActiveSync (a captive portal, a login page or a proxy)",
            evidence: format!(
                "{} answers ({:.0} %) were web pages with HTTP 200",
                pages.count,
                pages.share * 100.0
            ),
            explains: pages.rises,
        })
    }

    /// Logins are refused that were right before, and not of one user only.
    pub(super) fn refused_logins(&self) -> Option<LookAlike> {
        /// Fewer may have changed their passwords.
        const MIN_USERS: u64 = 3;
        const USERS: f64 = 0.05;
        let again = self.answers(&[Counter::RefusedAgain]);
        let users = self.plan.devices.users;
        let is_pattern = again.count >= MIN_USERS && again.count as f64 >= USERS * f64::from(users);
        let phases =
            [PhaseKind::Baseline, PhaseKind::Aging, PhaseKind::Hold].map(PhaseKind::as_str);
        is_pattern.then(|| LookAlike {
            name: "logins are refused that were accepted before (directory or authentication trouble)",
            evidence: format!(
                "{} times the login of a user was refused (HTTP 401) after it had been accepted, up to {} in a second; \
                 the run has {users} users",
                again.count,
                self.digest.peak(phases, Counter::RefusedAgain)
            ),
            explains: again.rises,
        })
    }

    /// Requests are turned away by a limit. HTTP.sys's own 503 names none of the headers. A server may also throttle users
    /// whose stranded requests fill their concurrency, so this explains nothing by itself.
    pub(super) fn rate_limit(&self) -> Option<LookAlike> {
        let counters = [
            Counter::TooManyRequests,
            Counter::RetryAfter,
            Counter::AsThrottle,
        ];
        let limited = self.answers(&counters);
        let before = self.before_recycle_phase();
        limited.is_pattern().then(|| LookAlike {
            name: "requests are limited (rate limit or throttling)",
            evidence: format!(
                "{} answers with HTTP 429 and {} with 503; {} of them name Retry-After, {} X-MS-ASThrottle",
                total(&before, Counter::TooManyRequests),
                total(&before, Counter::Unavailable),
                total(&before, Counter::RetryAfter),
                total(&before, Counter::AsThrottle)
            ),
            explains: false,
        })
    }

    /// Few users have slow Syncs, and these have hardly any other: it is their mailboxes, or the server of these.
    pub(super) fn few_slow_mailboxes(&self) -> Option<LookAlike> {
        /// Of the users.
        const MOST: f64 = 0.1;
        /// Slow Syncs that come after another of their user.
        const REPEATED: f64 = 0.5;
        /// That share is so many times what it would be by chance.
        const BEYOND_CHANCE: f64 = 3.0;
        let aging = self.of(PhaseKind::Aging);
        let (slow, again) = (
            total(&aging, Counter::SlowSyncs),
            total(&aging, Counter::SlowAgain),
        );
        let syncs = total(&aging, Counter::Syncs).max(1);
        let repeated = again as f64 / slow.max(1) as f64;
        let by_chance = slow as f64 / syncs as f64;
        if slow < MIN_ANSWERS || repeated < REPEATED || repeated < BEYOND_CHANCE * by_chance {
            return None;
        }
        let most = |kind| {
            let levels = self.gauges(kind, SLOW_USERS).into_iter();
            levels.fold(0.0, f64::max)
        };
        let (users, aged) = (f64::from(self.plan.devices.users), most(PhaseKind::Aging));
        (aged >= 1.0 && aged <= MOST * users).then(|| LookAlike {
            name: "few mailboxes are slow, and not the server",
            evidence: format!(
                "up to {aged:.0} of {users:.0} users had three slow Syncs in a row; {again} of {slow} slow Syncs followed \
                 another of the same user, and {:.0} % of all Syncs were slow",
                by_chance * 100.0
            ),
            explains: most(PhaseKind::Baseline) < aged,
        })
    }
}
