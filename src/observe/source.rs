//! Sources of server figures, each read by a task of its own, so that a slow one holds nobody up.
//! Each says how old its reading is; a reading that is too old counts as none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use figures::Scope;
use mock_client::Control;
use parking_lot::Mutex;
use scenario::SourcePlan;
use scenario::names::{Gauges, Together, together};
use text::clean;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use verdict::report::SourceReport;

use super::place::{Fetched, Fetcher};
use crate::terminal::say;

/// Tells how many requests the devices have open now.
pub type Open = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Remarks of a source that are kept. A text that is damaged differs each time.
const MOST_REMARKS: usize = 20;

/// A reading, and when it was taken.
#[derive(Debug, Clone)]
struct Reading {
    gauges: Gauges,
    at: Instant,
    /// Requests that the devices had open before and after.
    open: (u64, u64),
}

#[derive(Debug, Default)]
struct Slot {
    reading: Option<Reading>,
    report: SourceReport,
}

/// One source.
#[derive(Debug)]
struct Source {
    server: String,
    stale_after: Duration,
    slot: Arc<Mutex<Slot>>,
}

/// All sources of a run. Their tasks end with it.
#[derive(Debug)]
pub struct Sources {
    sources: Vec<Source>,
    /// Which servers have ever given a gauge: without one of them a sum would tell of a fall that
    /// did not happen.
    givers: BTreeMap<String, BTreeSet<String>>,
    /// Which source a gauge of a server is taken from, by server and gauge.
    owners: BTreeMap<(String, String), usize>,
    tasks: JoinSet<()>,
}

impl Sources {
    /// Begins to read them. `open` is asked with each reading, so that both tell of the same moment. `mock`
    /// is the run's mock, whose figures may have to be read without a network.
    #[must_use]
    pub fn start(plans: &[SourcePlan], scope: &Scope, open: Open, mock: Option<&Control>) -> Self {
        let mut tasks = JoinSet::new();
        let mut sources = Vec::new();
        for plan in plans {
            let slot = Arc::new(Mutex::new(Slot::default()));
            slot.lock().report.name = plan.to_string();
            sources.push(Source {
                server: plan.server.clone(),
                stale_after: plan.stale_after,
                slot: Arc::clone(&slot),
            });
            match Fetcher::new(plan.place.clone(), mock) {
                Ok(fetcher) => {
                    tasks.spawn(read(
                        plan.clone(),
                        fetcher,
                        scope.clone(),
                        Arc::clone(&open),
                        slot,
                    ));
                }
                Err(problem) => failed(&slot, problem),
            }
        }
        Self {
            sources,
            givers: BTreeMap::new(),
            owners: BTreeMap::new(),
            tasks,
        }
    }

    /// Stops reading. A server that ends after the run is no failure of its source.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// The gauges that are known now, of all servers together, and `source.<n>.age` in seconds for
    /// each source that was ever read. Of several sources of one server the first one that has ever had a
    /// gauge counts, also while it is silent: two sources may count differently. Beside them, the fewest and the most requests that the devices had open while
    /// Active Requests were read.
    pub fn sample(&mut self) -> (Gauges, Option<(f64, f64)>) {
        let now = Instant::now();
        let mut servers: BTreeMap<&str, Gauges> = BTreeMap::new();
        let mut gauges = Gauges::new();
        let mut open: Option<(f64, f64)> = None;
        for (index, source) in self.sources.iter().enumerate() {
            let mut slot = source.slot.lock();
            let Some(reading) = slot.reading.clone() else {
                slot.report.stale_seconds += 1;
                continue;
            };
            let age = now.saturating_duration_since(reading.at);
            gauges.insert(format!("source.{}.age", index + 1), age.as_secs_f64());
            if age > source.stale_after {
                slot.report.stale_seconds += 1;
                continue;
            }
            slot.report.oldest = slot.report.oldest.max(age.as_secs_f64());
            if reading.gauges.contains_key("server.active_requests") {
                let (before, after) = (reading.open.0 as f64, reading.open.1 as f64);
                let (low, high) = open.unwrap_or((before, after));
                open = Some((low.min(before).min(after), high.max(before).max(after)));
            }
            let server = servers.entry(&source.server).or_default();
            for (name, value) in reading.gauges {
                let owner = self.owners.entry((source.server.clone(), name.clone()));
                let owner = owner.or_insert(index);
                if index < *owner {
                    let remark = format!("{name} was taken from a later source until now");
                    if slot.report.remarks.len() < MOST_REMARKS {
                        slot.report.remarks.push(remark);
                    }
                    *owner = index;
                }
                if index == *owner {
                    server.insert(name, value);
                }
            }
        }
        let first = self.sources.first().map(|source| &source.server);
        let several = self
            .sources
            .iter()
            .any(|source| Some(&source.server) != first);
        for (server, known) in &servers {
            for name in known.keys() {
                let givers = self.givers.entry(name.clone()).or_default();
                if !givers.contains(*server) {
                    givers.insert((*server).to_owned());
                }
            }
        }
        gauges.extend(sum(&servers, &self.givers, several));
        (gauges, open)
    }

    /// What became of each.
    #[must_use]
    pub fn reports(&self) -> Vec<SourceReport> {
        let reports = self.sources.iter();
        reports
            .map(|source| source.slot.lock().report.clone())
            .collect()
    }
}

/// One set of gauges for all servers. Process ids of different servers are told apart by the
/// server's name.
fn sum(
    servers: &BTreeMap<&str, Gauges>,
    givers: &BTreeMap<String, BTreeSet<String>>,
    several: bool,
) -> Gauges {
    let mut gauges = Gauges::new();
    let complete = |name: &str| {
        givers.get(name).is_some_and(|givers| {
            givers.iter().all(|giver| {
                let known = servers.get(giver.as_str());
                known.is_some_and(|known| known.contains_key(name))
            })
        })
    };
    // A worker that is not heard of for a while has not gone.
    let workers_are_known = complete("server.active_requests");
    for (server, known) in servers {
        for (name, value) in known {
            if let Some(pid) = name.strip_prefix("server.active.") {
                if !workers_are_known {
                    continue;
                }
                let name = if several {
                    format!("server.active.{server}:{pid}")
                } else {
                    name.clone()
                };
                gauges.insert(name, *value);
                continue;
            }
            if !complete(name) {
                continue;
            }
            let together = together(name);
            let slot = gauges.entry(name.clone());
            slot.and_modify(|so_far| {
                *so_far = match together {
                    Together::Sum => *so_far + value,
                    Together::Max => so_far.max(*value),
                };
            })
            .or_insert(*value);
        }
    }
    gauges
}

fn failed(slot: &Mutex<Slot>, problem: String) {
    let mut slot = slot.lock();
    if slot.report.failures == 0 {
        say(&format!("{} cannot be read: {problem}", slot.report.name));
    }
    slot.report.failures += 1;
    // What a command or a server says, on its way to a terminal.
    slot.report.last_failure = Some(clean(&problem));
}

/// A misspelt name is a figure of its own, which nothing looks at.
fn misspelt(gauges: &Gauges) -> Vec<String> {
    let names = gauges.keys();
    names
        .filter_map(|name| {
            let meant = figures::meant(name)?;
            Some(format!("{name}: did you mean `{meant}`?"))
        })
        .collect()
}

/// Reports once what was left out of a text.
fn remark_once(slot: &Mutex<Slot>, remark: &str) {
    let remark = clean(remark);
    let source = {
        let report = &mut slot.lock().report;
        if report.remarks.contains(&remark) || report.remarks.len() >= MOST_REMARKS {
            return;
        }
        report.remarks.push(remark.clone());
        report.name.clone()
    };
    say(&format!("{source}: {remark}"));
}

fn tell_once(slot: &Mutex<Slot>, text: String) {
    let source = {
        let report = &mut slot.lock().report;
        if report.misspelt.contains(&text) {
            return;
        }
        report.misspelt.push(text.clone());
        report.name.clone()
    };
    say(&format!("{source} gives {text}"));
}

/// Reads a source for as long as the run lasts.
async fn read(
    plan: SourcePlan,
    mut fetcher: Fetcher,
    scope: Scope,
    open: Open,
    slot: Arc<Mutex<Slot>>,
) {
    let mut ticks = interval(plan.every);
    // A source that takes longer than its period is read as often as it can be.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let before = open();
        match fetcher.fetch(plan.format).await {
            Ok(Fetched::Unchanged) => {}
            Ok(Fetched::Bytes(bytes, age)) => {
                let now = Instant::now();
                let at = now.checked_sub(age).unwrap_or(now);
                match figures::parse(plan.format, &bytes, &scope) {
                    Ok(parsed) => {
                        for text in misspelt(&parsed.gauges) {
                            tell_once(&slot, text);
                        }
                        for remark in &parsed.remarks {
                            remark_once(&slot, remark);
                        }
                        let mut slot = slot.lock();
                        slot.reading = Some(Reading {
                            gauges: parsed.gauges,
                            at,
                            open: (before, open()),
                        });
                        slot.report.readings += 1;
                    }
                    Err(error) => failed(&slot, error.to_string()),
                }
            }
            Err(problem) => failed(&slot, problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges(pairs: &[(&str, f64)]) -> Gauges {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    fn source(server: &str, readings: &[(&str, f64)]) -> Source {
        let source = Source {
            server: server.to_owned(),
            stale_after: Duration::from_secs(5),
            slot: Arc::default(),
        };
        put(&source, readings);
        source
    }

    fn put(source: &Source, readings: &[(&str, f64)]) {
        source.slot.lock().reading = Some(Reading {
            gauges: gauges(readings),
            at: Instant::now(),
            open: (90, 100),
        });
    }

    fn sources(sources: Vec<Source>) -> Sources {
        Sources {
            sources,
            givers: BTreeMap::new(),
            owners: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn servers_are_added_up_and_none_may_be_missing() {
        let mut both = sources(vec![
            source(
                "ex1",
                &[
                    ("server.active_requests", 10.0),
                    ("server.active.7", 10.0),
                    ("server.gc_time", 0.1),
                ],
            ),
            source(
                "ex2",
                &[
                    ("server.active_requests", 5.0),
                    ("server.active.7", 5.0),
                    ("server.gc_time", 0.4),
                ],
            ),
        ]);
        let seen = both.sample().0;
        assert_eq!(seen["server.active_requests"], 15.0);
        assert_eq!(seen["server.gc_time"], 0.4);
        assert_eq!(seen["server.active.ex1:7"], 10.0);
        assert_eq!(seen["source.2.age"], 0.0);
        assert_eq!(both.sample().1, Some((90.0, 100.0)));
        // The second server is not heard of any more: half a sum is none.
        tokio::time::advance(Duration::from_secs(6)).await;
        put(&both.sources[0], &[("server.active_requests", 11.0)]);
        let seen = both.sample().0;
        assert!(!seen.contains_key("server.active_requests"), "{seen:?}");
        // Nor has a worker gone, or will a new one have come.
        assert!(!seen.keys().any(|name| name.starts_with("server.active.")));
        assert_eq!(seen["source.2.age"], 6.0);
        assert_eq!(both.reports()[1].stale_seconds, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_sources_of_a_server_the_first_counts() {
        let mut two = sources(vec![
            source("ex1", &[("server.active_requests", 10.0)]),
            source(
                "ex1",
                &[
                    ("server.active_requests", 99.0),
                    ("server.pings_pending", 4.0),
                ],
            ),
        ]);
        let seen = two.sample().0;
        assert_eq!(seen["server.active_requests"], 10.0);
        assert_eq!(seen["server.pings_pending"], 4.0);
        // The first one is silent, the second goes on: its figures are others.
        tokio::time::advance(Duration::from_secs(6)).await;
        put(
            &two.sources[1],
            &[
                ("server.active_requests", 98.0),
                ("server.pings_pending", 5.0),
            ],
        );
        let seen = two.sample().0;
        assert!(!seen.contains_key("server.active_requests"), "{seen:?}");
        assert_eq!(seen["server.pings_pending"], 5.0);
        // The first one has that figure too from now on, which is remarked.
        put(&two.sources[0], &[("server.pings_pending", 3.0)]);
        assert_eq!(two.sample().0["server.pings_pending"], 3.0);
        assert_eq!(two.reports()[0].remarks.len(), 1);
    }
}
