//! Cookies that a server sets: which back end has the mailbox (X-BackEndCookie), which machine behind
//! a load balancer answers. A device that does not send them back is a stranger with every request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cookie::Cookie;
use tokio::time::Instant;

use crate::transport::Origin;

/// Cookies of one device; RFC 6265 6.1 asks for 50 of a domain, Exchange and a load balancer set two
/// or three.
const MAX_COOKIES: usize = 20;
/// Bytes of one Set-Cookie line (RFC 6265 6.1).
const MAX_LINE: usize = 4096;
/// Bytes of names and values together: HTTP.sys refuses requests whose headers exceed 16 kB.
const MAX_TOTAL: usize = 8192;
/// No run lasts longer, and a clock cannot be set to any time that a server may name.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What one device keeps. A device without cookies pays for a pointer.
#[derive(Default)]
pub(super) struct Cookies(Option<Box<Jar>>);

/// The oldest first.
#[derive(Default)]
struct Jar {
    kept: Vec<Kept>,
}

struct Kept {
    name: Box<str>,
    value: Box<str>,
    path: Box<str>,
    expires: Option<Instant>,
}

impl Kept {
    fn size(&self) -> usize {
        self.name.len() + self.value.len()
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Cookies {
    /// Takes in the Set-Cookie lines of an answer to a request for that path (RFC 6265 5.3). `origin`
    /// is unknown for streams in memory; then no cookie is refused for its domain or for being secure.
    pub(super) fn take_in(&mut self, lines: &[String], path: &str, origin: Option<Origin<'_>>) {
        let now = Instant::now();
        for line in lines.iter().filter(|line| line.len() <= MAX_LINE) {
            let Ok(cookie) = Cookie::parse(line.as_str()) else {
                continue;
            };
            if origin.is_some_and(|origin| !is_acceptable(&cookie, origin)) {
                continue;
            }
            let path = cookie
                .path()
                .filter(|path| path.starts_with('/'))
                .unwrap_or_else(|| default_path(path));
            self.keep(
                Kept {
                    name: cookie.name().into(),
                    value: cookie.value().into(),
                    path: path.into(),
                    expires: expires(&cookie, now),
                },
                now,
            );
        }
    }

    fn keep(&mut self, cookie: Kept, now: Instant) {
        let is_expired = cookie.is_expired(now);
        if is_expired && self.0.is_none() {
            return;
        }
        let jar = self.0.get_or_insert_default();
        let same = |one: &Kept| one.name == cookie.name && one.path == cookie.path;
        match jar.kept.iter().position(same) {
            Some(at) if is_expired => drop(jar.kept.remove(at)),
            Some(at) => jar.kept[at] = cookie,
            None if is_expired => {}
            None => {
                jar.kept.reserve_exact(1);
                jar.kept.push(cookie);
            }
        }
        while jar.kept.len() > MAX_COOKIES
            || jar.kept.iter().map(Kept::size).sum::<usize>() > MAX_TOTAL
        {
            jar.kept.remove(0);
        }
        self.drop_empty();
    }

    /// The value of the Cookie header of a request for that path, if there are any for it.
    pub(super) fn header(&mut self, path: &str) -> Option<String> {
        let jar = self.0.as_mut()?;
        let now = Instant::now();
        jar.kept.retain(|cookie| !cookie.is_expired(now));
        let pairs: Vec<String> = jar
            .kept
            .iter()
            .filter(|cookie| covers(&cookie.path, path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        self.drop_empty();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The device goes to another host, which is not told what this one set.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    fn drop_empty(&mut self) {
        if self.0.as_ref().is_some_and(|jar| jar.kept.is_empty()) {
            self.0 = None;
        }
    }
}

/// A host sets cookies for itself and the domains above it, and secure ones only over TLS.
fn is_acceptable(cookie: &Cookie<'_>, origin: Origin<'_>) -> bool {
    if cookie.secure() == Some(true) && !origin.secure {
        return false;
    }
    cookie.domain().is_none_or(|domain| {
        let (host, domain) = (
            origin.host.to_ascii_lowercase(),
            domain.to_ascii_lowercase(),
        );
        let rest = host.strip_suffix(domain.as_str());
        domain.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Max-Age goes before Expires (RFC 6265 5.3).
fn expires(cookie: &Cookie<'_>, now: Instant) -> Option<Instant> {
    let seconds = if let Some(age) = cookie.max_age() {
        age.whole_seconds()
    } else {
        let end = cookie.expires_datetime()?.unix_timestamp();
        let today = SystemTime::now().duration_since(UNIX_EPOCH);
        let today = today.map_or(0, |since| since.as_secs());
        end.saturating_sub(i64::try_from(today).unwrap_or(i64::MAX))
    };
    let left = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Some(now + left.min(LONGEST))
}

/// The path of the request up to its last slash (RFC 6265 5.1.4).
fn default_path(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// Whether a cookie of that path goes with that request (RFC 6265 5.1.4).
fn covers(cookie: &str, request: &str) -> bool {
    let request = request.split('?').next().unwrap_or_default();
    request
        .strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/Microsoft-Server-ActiveSync";
    const SECURE: Option<Origin<'static>> = Some(Origin {
        host: "mail.lab.example",
        port: 443,
        secure: true,
    });

    fn kept(lines: &[&str]) -> Cookies {
        let mut cookies = Cookies::default();
        take_in(&mut cookies, lines);
        cookies
    }

    fn take_in(cookies: &mut Cookies, lines: &[&str]) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        cookies.take_in(&lines, "/Microsoft-Server-ActiveSync?Cmd=Sync", SECURE);
    }

    #[tokio::test(start_paused = true)]
    async fn cookies_come_back_until_they_expire_or_are_set_anew() {
        let mut cookies = kept(&[
            "X-BackEndCookie=A; path=/Microsoft-Server-ActiveSync; secure; HttpOnly",
            "lb=1; Max-Age=60",
            "owa=x; path=/owa",
            "old=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        ]);
        let query = format!("{PATH}?Cmd=Ping");
        assert_eq!(
            cookies.header(&query).as_deref(),
            Some("X-BackEndCookie=A; lb=1")
        );
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(cookies.header(PATH).as_deref(), Some("X-BackEndCookie=A"));
        assert_eq!(cookies.header("/owa/x").as_deref(), Some("owa=x"));
        assert_eq!(cookies.header("/owax"), None);
        take_in(
            &mut cookies,
            &[
                "X-BackEndCookie=B; path=/Microsoft-Server-ActiveSync",
                "owa=; path=/owa; Max-Age=0",
            ],
        );
        assert_eq!(cookies.header(PATH).as_deref(), Some("X-BackEndCookie=B"));
        assert_eq!(cookies.header("/owa"), None);
        take_in(
            &mut cookies,
            &["X-BackEndCookie=; path=/Microsoft-Server-ActiveSync; Max-Age=-1"],
        );
        assert!(cookies.0.is_none(), "nothing is kept for no cookies");
    }

    #[test]
    fn the_server_cannot_make_a_device_keep_more_than_a_little() {
        let lines: Vec<String> = (0..100).map(|n| format!("c{n}=v; path=/")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let header = kept(&lines).header(PATH).unwrap();
        assert_eq!(header.split("; ").count(), MAX_COOKIES);
        assert!(header.ends_with("c99=v"), "the oldest go first: {header}");
        let long = format!("a={}", "x".repeat(MAX_LINE));
        assert!(kept(&[&long]).0.is_none());
        let lines: Vec<String> = (0..9)
            .map(|n| format!("c{n}={}; path=/", "x".repeat(2000)))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert!(kept(&lines).header(PATH).unwrap().len() < MAX_TOTAL + 100);
        assert!(kept(&["no equals sign", "", "=x", ";;;"]).0.is_none());
    }

    #[test]
    fn a_server_sets_cookies_for_its_own_domains_only() {
        for (domain, is_kept) in [
            ("mail.lab.example", true),
            (".lab.example", true),
            ("LAB.example", true),
            ("other.example", false),
            ("l.lab.example", false),
            ("b.example", false),
        ] {
            let line = format!("a=b; Domain={domain}");
            assert_eq!(kept(&[&line]).0.is_some(), is_kept, "{domain}");
        }
        let mut plain = Cookies::default();
        let origin = Origin {
            host: "mail.lab.example",
            port: 443,
            secure: false,
        };
        plain.take_in(&["a=b; secure".to_owned()], PATH, Some(origin));
        assert!(plain.0.is_none(), "a secure cookie over plain HTTP");
        plain.take_in(&["a=b; secure".to_owned()], PATH, None);
        assert!(plain.0.is_some());
    }
}
