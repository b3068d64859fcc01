//! Where a device's requests go, and what keeps them together there: redirects and cookies.

use eas::http;
use scenario::Target;

use super::cookies::Cookies;
use crate::transport::{Answer, Origin, Transport};

/// Redirects in a row, without a command in between that did what it should: servers that send a
/// device to and fro are not followed for ever. Phones give up after about as many.
const MAX_REDIRECTS: u8 = 10;

/// The way to the server. `home` is the path of the EAS virtual directory that the run was given.
#[derive(Default)]
pub(super) struct Route {
    cookies: Cookies,
    /// The path, once a redirect has named another.
    moved: Option<Box<str>>,
    /// Redirects since a command did what it should.
    redirects: u8,
}

impl Route {
    /// Path of the EAS virtual directory.
    pub(super) fn path<'a>(&'a self, home: &'a str) -> &'a str {
        self.moved.as_deref().unwrap_or(home)
    }

    /// The Cookie header of a request for that path, if it has one.
    pub(super) fn cookies(&mut self, path: &str) -> Option<String> {
        self.cookies.header(path)
    }

    /// Takes the cookies of an answer in.
    pub(super) fn take_in(&mut self, answer: &Answer, home: &str, origin: Option<Origin<'_>>) {
        let set = answer.header_values("Set-Cookie");
        let path = self.moved.as_deref().unwrap_or(home);
        self.cookies.take_in(&set, path, origin);
    }

    /// A command did what it should: whatever led here was no circle.
    pub(super) fn arrived(&mut self) {
        self.redirects = 0;
    }

    /// Goes to the server that an HTTP 451 names.
    pub(super) fn follow(
        &mut self,
        transport: &mut impl Transport,
        location: Option<&str>,
        home: &str,
    ) -> Result<(), String> {
        let location =
            location.ok_or_else(|| format!("HTTP 451 without a header {}", http::LOCATION))?;
        if self.redirects >= MAX_REDIRECTS {
            return Err(format!(
                "HTTP 451: {MAX_REDIRECTS} redirects in a row lead nowhere"
            ));
        }
        let from = transport.origin();
        let to = match from {
            Some(from) => {
                let here = Target {
                    tls: from.secure,
                    host: from.host.to_owned(),
                    port: from.port,
                    path: self.path(home).to_owned(),
                };
                here.follow(location.trim(), http::PATH)
            }
            None => Target::parse(location.trim()),
        };
        let to = to.map_err(|error| format!("HTTP 451: {error}"))?;
        let is_same_host = from.is_some_and(|from| from.host.eq_ignore_ascii_case(&to.host));
        transport
            .redirect(&to)
            .map_err(|error| format!("HTTP 451 to {}: {error}", to.url()))?;
        if !is_same_host {
            self.cookies.forget();
        }
        self.redirects += 1;
        self.moved = (to.path != home).then(|| to.path.into());
        Ok(())
    }
}
