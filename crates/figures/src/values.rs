//! Lines `name value`, as any script can print them.

use scenario::names::SERVER_GAUGES;

use crate::{FormatError, Gathered, Parsed};

/// Other names are kept under this, and can be judged by a threshold.
const CUSTOM: &str = "custom";

/// `active_requests 1823`, `tcp.outgoing.close_wait 17`, `my_figure 3`. Blank lines and lines that
/// begin with `#` are passed over. A known name goes where the other formats put it.
pub(super) fn parse(text: &str) -> Result<Parsed, FormatError> {
    let mut gathered = Gathered::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fail = |problem: String| FormatError::new(index + 1, problem);
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value), None) = (words.next(), words.next(), words.next()) else {
            return Err(fail(format!(
                "expected `name value`, found {:?}",
                shown(line)
            )));
        };
        if !is_name(name) {
            return Err(fail(format!(
                "expected a name of letters, digits, `_`, `.` and `-`, found {:?}",
                shown(name)
            )));
        }
        let problem = format!("{name}: expected a number, found {:?}", shown(value));
        let Ok(value) = value.parse::<f64>() else {
            return Err(fail(problem));
        };
        // The other figures of the text are as good as without it.
        if !value.is_finite() {
            gathered.remark(problem);
            continue;
        }
        gathered.add(&gauge(name), value);
    }
    gathered.done("lines `name value`")
}

fn gauge(name: &str) -> String {
    let short = name.strip_prefix("server.").unwrap_or(name);
    if SERVER_GAUGES.iter().any(|(known, _)| *known == short) {
        format!("server.{short}")
    } else if name.starts_with("tcp.") {
        name.to_owned()
    } else {
        format!("{CUSTOM}.{name}")
    }
}

/// The known name that one of [`CUSTOM`] was perhaps meant to be: another letter, one too few, one too
/// many, two swapped, or another case.
pub fn meant(gauge: &str) -> Option<&'static str> {
    let name = gauge.strip_prefix(CUSTOM)?.strip_prefix('.')?;
    let name = name.strip_prefix("server.").unwrap_or(name);
    let lower = name.to_ascii_lowercase();
    /// Of shorter names another letter makes other words: `cpu`, `gpu`.
    const SHORT: usize = 4;
    // `queue1` is the first of several.
    let is_numbered = name.ends_with(|letter: char| letter.is_ascii_digit());
    let known = SERVER_GAUGES.iter().map(|(known, _)| *known);
    let mut near = known.filter(|known| {
        let most = usize::from(known.len() > SHORT);
        strsim::osa_distance(&lower, known) <= most
    });
    near.next().filter(|_| !is_numbered)
}

fn is_name(name: &str) -> bool {
    name.len() <= 100
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The beginning of what is there, for a message.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut start: String = text.chars().take(MOST).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_go_where_the_other_formats_put_them() {
        let text =
            "# from a script\nactive_requests 1823\r\n\ntcp.outgoing.close_wait 17\nmine 2.5\n";
        let gauges = parse(text).unwrap().gauges;
        assert_eq!(gauges["server.active_requests"], 1823.0);
        assert_eq!(gauges["tcp.outgoing.close_wait"], 17.0);
        assert_eq!(gauges["custom.mine"], 2.5);
    }

    /// JSON has no infinity: it would cost the journal its line.
    #[test]
    fn sums_stay_finite_and_figures_few() {
        let gauges = parse("a 1e308\na 1e308\n").unwrap().gauges;
        assert!(gauges["custom.a"].is_finite());
        let many: String = (0..5000).map(|number| format!("a{number} 1\n")).collect();
        assert_eq!(parse(&many).unwrap().gauges.len(), crate::MOST_GAUGES);
    }

    #[test]
    fn a_misspelt_name_is_recognized_and_another_word_is_not() {
        assert_eq!(meant("custom.actve_requests"), Some("active_requests"));
        assert_eq!(meant("custom.server.pings_pendign"), Some("pings_pending"));
        assert_eq!(meant("custom.private_byte"), Some("private_bytes"));
        assert_eq!(meant("custom.Active_Requests"), Some("active_requests"));
        assert_eq!(meant("custom.CPU"), Some("cpu"));
        for own in [
            "custom.active_requests_max",
            "custom.mailbox_latency_p99",
            "custom.requests_total_5xx",
            "custom.queue1",
            "custom.gpu",
            "custom.active_sessions",
            "custom.active_users",
            "custom.requests",
            "custom.queue_length",
            "custom.cpu_idle",
            "custom.mailboxes",
            "server.active_requests",
        ] {
            assert_eq!(meant(own), None, "{own}");
        }
    }

    #[test]
    fn mistakes_have_a_line() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            message("a 1\nb\n"),
            "line 2: expected `name value`, found \"b\""
        );
        assert!(message("a 1\nb x\n").starts_with("line 2: b: expected a number"));
        assert!(message("a/b 1").contains("expected a name"));
        assert!(message("a NaN").contains("expected a number"));
        let parsed = parse("a NaN\nb 2\n").unwrap();
        assert_eq!(parsed.gauges.len(), 1);
        assert_eq!(parsed.remarks, ["a: expected a number, found \"NaN\""]);
        assert!(message("").contains("none is there"));
        assert!(message(&"x".repeat(5000)).len() < 200);
    }
}
