//! The network between devices and server, as a plan has it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::parse_size;

use super::reader::Section;
use crate::TlsVersion;

/// So many can be told apart by 16 bits, and each has 28,000 ports and more.
const MAX_SOURCES: u128 = 65_536;

/// Longer round trips are no network that a phone would wait for.
const MAX_LATENCY: Duration = Duration::from_secs(10);
/// Bytes a second, GPRS at its best; on a slower link a mail with an attachment would not be through in
/// its time.
const MIN_BANDWIDTH: u64 = 4000;

/// A device's own link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkPlan {
    /// Added to every round trip, drawn once for each device.
    pub latency: (Duration, Duration),
    /// Bytes a second, each way.
    pub bandwidth: Option<u64>,
}

impl LinkPlan {
    /// Whether it differs from none.
    #[must_use]
    pub fn is_there(&self) -> bool {
        *self != Self::default()
    }
}

/// The keys `latency` and `bandwidth` of a kind.
pub(super) fn link(section: &Section<'_>, common: LinkPlan) -> LinkPlan {
    let latency = section.durations("latency");
    if latency.is_some_and(|(_, most)| most > MAX_LATENCY) {
        section.problem("latency", "expected at most 10s");
    }
    let text = section.text("bandwidth");
    let bandwidth = text.as_deref().and_then(bandwidth);
    if text.is_some() && bandwidth.is_none_or(|bytes| bytes < MIN_BANDWIDTH) {
        section.problem(
            "bandwidth",
            "expected a rate such as \"1Mbit\" (bit, kbit, Mbit, Gbit a second) or \"125kB\" (bytes a \
             second), at least \"8kbit\"",
        );
    }
    LinkPlan {
        latency: latency.unwrap_or(common.latency),
        bandwidth: bandwidth.or(common.bandwidth),
    }
}

/// Bytes a second.
fn bandwidth(text: &str) -> Option<u64> {
    let Some(bits) = text.strip_suffix("bit") else {
        return parse_size(text);
    };
    let units = [("k", 1e3), ("M", 1e6), ("G", 1e9)];
    let unit = units
        .iter()
        .find_map(|(unit, factor)| Some((bits.strip_suffix(*unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((bits, 1.0));
    let bits = number.trim().parse::<f64>().ok()? * factor;
    (bits.is_finite() && bits > 0.0).then_some((bits / 8.0) as u64)
}

/// How a device sleeps: its radio is off, and it says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SleepPlan {
    /// How long it is awake, drawn anew each time.
    pub awake: (Duration, Duration),
    /// How long it sleeps then, drawn anew each time.
    pub asleep: (Duration, Duration),
}

/// The table `sleep` of a kind.
pub(super) fn sleep(section: &Section<'_>) -> Option<SleepPlan> {
    let section = section.section("sleep")?;
    let awake = section.required("awake", section.durations("awake"), "\"10m..20m\"");
    let asleep = section.required("asleep", section.durations("asleep"), "\"30m..2h\"");
    if awake.is_some_and(|(least, _)| least.is_zero()) {
        section.problem(
            "awake",
            "expected more than 0s: a device has to wake to be one",
        );
    }
    section.finish();
    Some(SleepPlan {
        awake: awake?,
        asleep: asleep?,
    })
}

/// Addresses in a row that connections are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRange {
    /// The first.
    pub first: IpAddr,
    /// The last; the same for a single address.
    pub last: IpAddr,
}

impl fmt::Display for SourceRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.first)?;
        if self.first != self.last {
            write!(formatter, "..{}", self.last)?;
        }
        Ok(())
    }
}

impl SourceRange {
    /// `"10.0.0.7"` or `"10.0.0.7..10.0.0.20"`, the last included.
    fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let address = |text: &str| {
            // Sockets know the IPv4 address inside a mapped one.
            let address = text.trim().parse::<IpAddr>();
            address.map(|address| address.to_canonical()).map_err(|_| {
                format!(
                    "`{text}` is no IP address; expected \"10.0.0.7\" or \"10.0.0.7..10.0.0.20\""
                )
            })
        };
        let range = Self {
            first: address(first)?,
            last: address(last)?,
        };
        if range.first.is_ipv4() != range.last.is_ipv4() {
            return Err(format!("`{text}` goes from one family to the other"));
        }
        if number(range.first) > number(range.last) {
            return Err(format!("`{text}` ends before it begins"));
        }
        let unusable = |address: &IpAddr| address.is_unspecified() || address.is_multicast();
        if unusable(&range.first) || unusable(&range.last) {
            return Err(format!("`{text}`: expected addresses of this machine"));
        }
        Ok(range)
    }

    /// How many less one: all addresses of IPv6 together have no number.
    fn span(&self) -> u128 {
        number(self.last) - number(self.first)
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let is_ipv4 = self.first.is_ipv4();
        (number(self.first)..=number(self.last)).map(move |number| {
            if is_ipv4 {
                // It was 32 bits before.
                Ipv4Addr::from_bits(number as u32).into()
            } else {
                Ipv6Addr::from_bits(number).into()
            }
        })
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// All addresses of those ranges, in their order.
pub(super) fn addresses(ranges: &[SourceRange]) -> Vec<IpAddr> {
    ranges.iter().flat_map(SourceRange::addresses).collect()
}

/// The key `tls_versions`: what devices offer, all versions where it is not there.
pub(super) fn tls_versions(section: &Section<'_>) -> Vec<TlsVersion> {
    let Some(texts) = section.text_or_texts("tls_versions") else {
        return Vec::new();
    };
    let known: Vec<_> = texts
        .iter()
        .map(|text| {
            let found = TlsVersion::ALL.iter().find(|(name, _)| name == text);
            found.map(|(_, version)| *version)
        })
        .collect();
    if known.is_empty() || known.contains(&None) {
        section.problem("tls_versions", "expected \"1.2\", \"1.3\", or both");
    }
    let known: Vec<TlsVersion> = known.into_iter().flatten().collect();
    let is_all = TlsVersion::ALL.iter().all(|(_, one)| known.contains(one));
    if is_all { Vec::new() } else { known }
}

/// The key `source_addresses`.
pub(super) fn source_addresses(section: &Section<'_>) -> Vec<SourceRange> {
    const KEY: &str = "source_addresses";
    let mut ranges = Vec::new();
    for text in section.texts(KEY).unwrap_or_default() {
        match SourceRange::parse(&text) {
            Ok(range) => ranges.push(range),
            Err(problem) => section.problem(KEY, problem),
        }
    }
    let count = ranges.iter().fold(0_u128, |sum, range| {
        sum.saturating_add(range.span()).saturating_add(1)
    });
    if count > MAX_SOURCES {
        section.problem(KEY, format!("expected at most {MAX_SOURCES} addresses"));
        return Vec::new();
    }
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| (range.first.is_ipv6(), number(range.first)));
    for pair in sorted.windows(2) {
        let same_family = pair[0].first.is_ipv4() == pair[1].first.is_ipv4();
        if same_family && number(pair[0].last) >= number(pair[1].first) {
            let again = pair[1].first;
            section.problem(KEY, format!("{again} is there twice"));
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &str) -> Result<crate::DevicesPlan, String> {
        let text = format!(
            "name = \"x\"\n[mock]\n[devices]\ncount = 10\n{keys}\n[[phase]]\nkind = \"baseline\"\n\
             duration = \"10m\"\n"
        );
        let plan = crate::parse("x.toml", &text);
        plan.map(|plan| plan.devices)
            .map_err(|error| error.lines().join("\n"))
    }

    #[test]
    fn kinds_take_over_what_they_do_not_say_and_mistakes_name_their_key() {
        let devices = read(
            "latency = \"40ms\"\nbandwidth = \"1Mbit\"\nsource_addresses = [\"127.0.0.2..127.0.0.4\"]\n\
             [[devices.profile]]\nname = \"a\"\nlatency = \"20ms..80ms\"\n\
             sleep = { awake = \"10m..20m\", asleep = \"1h\" }\n\
             [[devices.profile]]\nname = \"b\"\nsecond_ping = 0.05",
        )
        .unwrap();
        assert_eq!(devices.sources().len(), 3);
        let (a, b) = (&devices.profiles[0], &devices.profiles[1]);
        assert_eq!(a.link.latency.1, Duration::from_millis(80));
        assert_eq!(
            (a.link.bandwidth, b.link.bandwidth),
            (Some(125_000), Some(125_000))
        );
        assert_eq!(b.link.latency.1, Duration::from_millis(40));
        let hour = Duration::from_secs(3600);
        assert_eq!(a.sleep.map(|sleep| sleep.asleep), Some((hour, hour)));
        assert!(b.sleep.is_none() && b.second_ping > 0.0);
        for (keys, problem) in [
            ("latency = \"1m\"", "devices.latency: expected at most 10s"),
            (
                "bandwidth = \"10bit\"",
                "devices.bandwidth: expected a rate",
            ),
            ("second_ping = 2", "devices.second_ping: expected a number"),
            (
                "sleep = { awake = \"1m\" }",
                "devices.sleep.asleep: is missing",
            ),
            (
                "sleep = { awake = \"0s\", asleep = \"1m\" }",
                "devices.sleep.awake: expected",
            ),
            ("source_addresses = [\"x\"]", "`x` is no IP address"),
            (
                "source_addresses = [\"10.0.0.1\", \"10.0.0.0..10.0.0.9\"]",
                "10.0.0.1 is there twice",
            ),
            (
                "source_addresses = [\"10.0.0.0..10.9.0.0\"]",
                "at most 65536",
            ),
        ] {
            let error = read(keys).unwrap_err();
            assert!(error.contains(problem), "{keys}: {error}");
        }
    }

    #[test]
    fn rates_are_read_in_bits_and_bytes() {
        for (text, bytes) in [
            ("1Mbit", Some(125_000)),
            ("256 kbit", Some(32_000)),
            ("1.5Gbit", Some(187_500_000)),
            ("8000bit", Some(1000)),
            ("125kB", Some(125_000)),
            ("-1Mbit", None),
            ("Mbit", None),
            ("fast", None),
        ] {
            assert_eq!(bandwidth(text), bytes, "{text}");
        }
    }

    #[test]
    fn ranges_are_inclusive_and_cross_any_border() {
        let range = |text: &str| SourceRange::parse(text).unwrap();
        let all = addresses(&[
            range("10.0.0.254..10.0.1.1"),
            range("::1"),
            range("fd00::ffff..fd00::1:1"),
            range("::ffff:10.0.0.7"),
        ]);
        let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "10.0.0.254",
                "10.0.0.255",
                "10.0.1.0",
                "10.0.1.1",
                "::1",
                "fd00::ffff",
                "fd00::1:0",
                "fd00::1:1",
                "10.0.0.7",
            ]
        );
        assert_eq!(
            range("10.0.0.1..10.0.0.2").to_string(),
            "10.0.0.1..10.0.0.2"
        );
        for (text, problem) in [
            ("10.0.0", "no IP address"),
            ("10.0.0.9..10.0.0.1", "ends before"),
            ("10.0.0.9..::1", "family"),
            ("0.0.0.0", "addresses of this machine"),
            ("224.0.0.1", "addresses of this machine"),
        ] {
            let error = SourceRange::parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
        let all = range("::2..fe00::");
        assert!(all.span() > MAX_SOURCES);
    }
}
