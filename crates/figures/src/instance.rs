//! Names of the instances of worker processes.
//!
//! Windows numbers instances of one name (`w3wp`, `w3wp#1`). With the registry value
//! `ProcessNameFormat` it appends the process id (`w3wp_4712`), and .NET appends the process id, the
//! number of the runtime and that of the application domain (`w3wp_p4712_r15_ad2`). The counter set
//! `Process V2` always has the id (`w3wp:4712`). windows_exporter appends the pool with
//! `--collector.process.iis`.

/// What the name of a worker process says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum W3wp<'t> {
    /// Nothing: `w3wp`, `w3wp#1`.
    Unnamed,
    /// Its process id.
    Pid(&'t str),
    /// Another text behind `w3wp_`, such as its pool.
    Other(&'t str),
}

/// Reads the name of an instance; `None` if it is not a worker process.
pub(super) fn w3wp(name: &str) -> Option<W3wp<'_>> {
    const W3WP: &str = "w3wp";
    let start = name.get(..W3WP.len())?;
    if !start.eq_ignore_ascii_case(W3WP) {
        return None;
    }
    let rest = &name[W3WP.len()..];
    if rest.is_empty() || rest.strip_prefix('#').is_some_and(is_number) {
        return Some(W3wp::Unnamed);
    }
    if let Some(pid) = rest.strip_prefix(':') {
        return is_number(pid).then_some(W3wp::Pid(pid));
    }
    let rest = rest.strip_prefix('_')?;
    Some(match pid_of_dotnet(rest) {
        Some(pid) => W3wp::Pid(pid),
        None if is_number(rest) => W3wp::Pid(rest),
        None => W3wp::Other(rest),
    })
}

/// The process id in `p4712_r15_ad2`, whose last parts may be missing.
fn pid_of_dotnet(rest: &str) -> Option<&str> {
    let mut parts = rest.split('_');
    let pid = parts.next()?.strip_prefix(['p', 'P'])?;
    let numbered = |part: &str| {
        let number = part.strip_prefix("ad").or_else(|| part.strip_prefix('r'));
        number.is_some_and(is_number)
    };
    (is_number(pid) && parts.all(numbered)).then_some(pid)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_instance_name_is_recognized() {
        for (name, expected) in [
            ("w3wp", Some(W3wp::Unnamed)),
            ("W3WP", Some(W3wp::Unnamed)),
            ("w3wp#12", Some(W3wp::Unnamed)),
            ("w3wp_4712", Some(W3wp::Pid("4712"))),
            ("w3wp:4712", Some(W3wp::Pid("4712"))),
            ("w3wp_p4712_r15_ad2", Some(W3wp::Pid("4712"))),
            ("w3wp_p4712_r15", Some(W3wp::Pid("4712"))),
            ("w3wp_p4712", Some(W3wp::Pid("4712"))),
            (
                "w3wp_MSExchangeSyncAppPool",
                Some(W3wp::Other("MSExchangeSyncAppPool")),
            ),
            ("w3wp_p4712_x15", Some(W3wp::Other("p4712_x15"))),
            ("w3wp_pool7", Some(W3wp::Other("pool7"))),
            ("w3wp:", None),
            ("w3wp#", None),
            ("w3wphost", None),
            ("_Global_", None),
            ("w3", None),
            ("wörk", None),
        ] {
            assert_eq!(w3wp(name), expected, "{name}");
        }
    }
}
