//! What holding Pings costs, on both sides, against a mock of its own: the figures of
//! `docs/performance.md`.

mod journal;
mod rig;

use std::time::Duration;

use hdrhistogram::Histogram;
use rig::{Costs, Rig};
use scenario::Action;
use scenario::names::{Counter, Gauges, Metric};
use tokio::time::{Instant, sleep};

use crate::observe::descriptors;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bench {
    /// Memory of held Pings, the ramp, and how late answers are.
    Hold,
    /// Empty Pings with a heartbeat of one second, per second of the mock's processor time.
    RoundTrips,
    /// A recycle with every Ping held: when the last is cut, and when all are held again.
    Recycle,
    /// Commands of heavy activity, bodies written and answers checked, per second of each side's
    /// processor time.
    Activity,
    /// What recording, the journal and judging cost; no devices.
    Journal,
}

pub use journal::A_DAY;

/// How to measure it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Devices that hold a Ping at the end.
    pub devices: u32,
    /// Devices at the first memory reading ([`Bench::Hold`]); a ninth of all if not given.
    pub from: Option<u32>,
    /// Devices started a second.
    pub rate: f64,
    /// Heartbeat in seconds ([`Bench::Hold`]).
    pub heartbeat: u32,
    /// Workers of the mock.
    pub workers: u32,
    /// TLS instead of plain HTTP.
    pub tls: bool,
    /// Front end and back end instead of the direct topology.
    pub full: bool,
    /// Wait for the heartbeats to end, and tell how late they do ([`Bench::Hold`]).
    pub overshoot: bool,
    /// Length of the made-up run in seconds ([`Bench::Journal`]).
    pub seconds: u32,
    /// Five kinds of devices in place of one.
    pub mixed: bool,
    /// Things that all users together do in a second ([`Bench::Activity`]).
    pub acts: u32,
}

/// Memory settles after the last provisioning.
const SETTLE: Duration = Duration::from_secs(2);
/// Round trips are counted for so long.
const COUNTED: Duration = Duration::from_secs(10);
/// Heartbeat while a recycle is measured: none may end by itself.
const LONG_HEARTBEAT: u32 = 600;
/// `shutdownTimeLimit` while a recycle is measured: the drain is over long before.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(3);
/// With one-second heartbeats some devices are always between two Pings.
const MOST: f64 = 0.9;

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The options cannot be measured, here or anywhere.
    #[error("{0}")]
    Options(String),
    /// The measurement went wrong.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for BenchError {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

/// Measures; the text tells every figure with its unit.
///
/// # Errors
/// When the devices do not fit, or do not get to hold their Pings.
pub async fn measure(bench: Bench, options: &Options) -> Result<String, BenchError> {
    if bench != Bench::Journal
        && let Some((limit, _)) = descriptors()
        && limit < u64::from(options.devices) + SPARE_DESCRIPTORS
    {
        return Err(BenchError::Options(format!(
            "{} devices do not fit into {limit} descriptors",
            options.devices
        )));
    }
    Ok(match bench {
        Bench::Hold => hold(options, first_reading(options)?).await?,
        Bench::RoundTrips => round_trips(options).await?,
        Bench::Recycle => recycle(options).await?,
        Bench::Activity => activity(options).await?,
        Bench::Journal => journal::journal(options.devices, options.seconds)?,
    })
}

/// How many devices there are at the first memory reading.
fn first_reading(options: &Options) -> Result<u32, BenchError> {
    /// The slope rests on the other eight ninths.
    const PART: u32 = 9;
    let devices = options.devices;
    if devices < 2 {
        let problem = "--devices: expected at least 2: the memory of a device is the difference between \
                       two readings";
        return Err(BenchError::Options(problem.to_owned()));
    }
    let from = options.from.unwrap_or((devices / PART).max(1));
    if from == 0 || from >= devices {
        return Err(BenchError::Options(format!(
            "--from: expected 1 to {}, below --devices, found {from}",
            devices - 1
        )));
    }
    Ok(from)
}

/// Runtime, standard streams, the mock's control door.
const SPARE_DESCRIPTORS: u64 = 64;

async fn hold(options: &Options, from: u32) -> Result<String, String> {
    let rig = Rig::start(options, options.heartbeat, 0, SHUTDOWN_LIMIT).await?;
    let began = Instant::now();
    let small = rig.fleet(0..from);
    rig.held(from).await?;
    let first_part = began.elapsed();
    sleep(SETTLE).await;
    let low = rig.costs().await?;
    let began = Instant::now();
    let large = rig.fleet(from..options.devices);
    rig.held(options.devices).await?;
    let ramp = first_part + began.elapsed();
    sleep(SETTLE).await;
    let high = rig.costs().await?;

    let more = f64::from(options.devices - from);
    let slope = |of: fn(&Costs) -> u64| (of(&high) as f64 - of(&low) as f64) / more / 1e3;
    let mut text = format!(
        "held Pings in one process            {}\n\
         all held after                       {:.1} s (started at {:.0} a second)\n\
         user memory per held device          {:.2} kB (RSS slope {} to {} devices)\n\
         harness RSS                          {:.1} MiB\n\
         mock, user memory per held Ping      {:.2} kB (front door + worker)\n",
        options.devices,
        ramp.as_secs_f64(),
        options.rate,
        slope(|costs| costs.harness.memory),
        from,
        options.devices,
        high.harness.memory as f64 / 1_048_576.0,
        slope(|costs| costs.mock.memory),
    );
    if options.overshoot {
        text.push_str(&overshoot(&rig, options).await);
    }
    drop((small, large));
    rig.mock.stop().await;
    Ok(text)
}

/// Waits for a whole round of heartbeats: most Pings end without changes.
async fn overshoot(rig: &Rig, options: &Options) -> String {
    rig.recorder.interval("", Gauges::new());
    rig.seen.lock().reset();
    sleep(Duration::from_secs(u64::from(options.heartbeat) + 5)).await;
    let interval = rig.recorder.interval("", Gauges::new());
    let histogram: Option<Histogram<u64>> = interval
        .latency(Metric::Overshoot)
        .and_then(|latency| latency.histogram());
    let Some(histogram) = histogram else {
        return "overshoot                            no Ping ended\n".to_owned();
    };
    let line = |histogram: &Histogram<u64>| {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        format!(
            "p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms",
            at(0.5),
            at(0.99),
            at(1.0)
        )
    };
    format!(
        "overshoot of {} Pings             {} (the mock's timers included)\n\
         answered by the mock → seen here     {} (the harness's own share)\n\
         connections made in that round       {}\n",
        histogram.len(),
        line(&histogram),
        line(&rig.seen.lock().delays),
        interval.count(Counter::Connects),
    )
}

async fn round_trips(options: &Options) -> Result<String, String> {
    let rig = Rig::start(options, 1, 0, SHUTDOWN_LIMIT).await?;
    let fleet = rig.fleet(0..options.devices);
    rig.held((f64::from(options.devices) * MOST) as u32).await?;
    sleep(SETTLE).await;
    rig.recorder.interval("", Gauges::new());
    let before = rig.costs().await?;
    let began = Instant::now();
    sleep(COUNTED).await;
    let interval = rig.recorder.interval("", Gauges::new());
    let elapsed = began.elapsed().as_secs_f64();
    let after = rig.costs().await?;
    let trips = interval.count(Counter::PingsExpired) as f64;
    let used = |of: fn(&Costs) -> Duration| (of(&after).saturating_sub(of(&before))).as_secs_f64();
    let (mock, harness) = (
        used(|costs| costs.mock.cpu),
        used(|costs| costs.harness.cpu),
    );
    let text = format!(
        "devices with 1-second heartbeats     {}\n\
         empty Ping round trips               {:.0} a second\n\
         of the mock's processor time         {:.0} per core second ({:.2} cores in use)\n\
         of the harness's processor time      {:.0} per core second ({:.2} cores in use)\n",
        options.devices,
        trips / elapsed,
        trips / mock,
        mock / elapsed,
        trips / harness,
        harness / elapsed,
    );
    drop(fleet);
    rig.mock.stop().await;
    Ok(text)
}

async fn activity(options: &Options) -> Result<String, String> {
    let rig = Rig::start(options, LONG_HEARTBEAT, options.acts, SHUTDOWN_LIMIT).await?;
    let fleet = rig.fleet(0..options.devices);
    rig.held((f64::from(options.devices) * MOST) as u32).await?;
    // Mails to act on, and folders primed.
    sleep(COUNTED).await;
    rig.recorder.interval("", Gauges::new());
    let before = rig.costs().await?;
    let began = Instant::now();
    sleep(COUNTED).await;
    let interval = rig.recorder.interval("", Gauges::new());
    let elapsed = began.elapsed().as_secs_f64();
    let after = rig.costs().await?;
    let used = |of: fn(&Costs) -> Duration| (of(&after).saturating_sub(of(&before))).as_secs_f64();
    let (mock, harness) = (
        used(|costs| costs.mock.cpu),
        used(|costs| costs.harness.cpu),
    );
    let commands = interval.count(Counter::Answers) as f64;
    let acts: u64 = Action::ALL
        .iter()
        .map(|action| interval.count(Counter::of_action(*action)))
        .sum();
    let totals = rig.recorder.totals();
    let text = format!(
        "devices with heavy activity          {}\n\
         things that users did                {:.0} a second, {} in vain\n\
         commands answered and checked        {:.0} a second\n\
         of the harness's processor time      {:.0} per core second ({:.2} cores in use)\n\
         of the mock's processor time         {:.0} per core second ({:.2} cores in use)\n\
         connections made                     {:.0} a second\n\
         errors                               {:?}\n",
        options.devices,
        acts as f64 / elapsed,
        interval.count(Counter::ActFailures),
        commands / elapsed,
        commands / harness,
        harness / elapsed,
        commands / mock,
        mock / elapsed,
        interval.count(Counter::Connects) as f64 / elapsed,
        totals.errors,
    );
    drop(fleet);
    rig.mock.stop().await;
    Ok(text)
}

async fn recycle(options: &Options) -> Result<String, String> {
    let rig = Rig::start(options, LONG_HEARTBEAT, 0, SHUTDOWN_LIMIT).await?;
    let fleet = rig.fleet(0..options.devices);
    rig.held(options.devices).await?;
    sleep(SETTLE).await;
    rig.seen.lock().reset();
    // When this returns the new worker serves and the old one has begun to drain.
    rig.mock
        .control()
        .recycle()
        .await
        .map_err(|error| error.to_string())?;
    let limit = Instant::now() + SHUTDOWN_LIMIT;
    let devices = u64::from(options.devices);
    // A device that was cut comes back at once, so the herd is part of what is measured.
    let (by_mock, by_devices) = tokio::join!(
        rig.mock_has_cut(devices),
        rig.until("every device is back", || rig.seen.lock().connects
            >= devices),
    );
    by_devices?;
    rig.held(options.devices).await?;
    let (by_mock, herd) = (by_mock?, limit.elapsed());
    let cut = rig.seen.lock().last_cut.unwrap_or(limit);
    let after = |instant: Instant| instant.saturating_duration_since(limit).as_secs_f64();
    let (connects, rate) = {
        let seen = rig.seen.lock();
        (seen.connects, seen.connects_per_second().unwrap_or(0.0))
    };
    let text = format!(
        "Pings held when the pool recycled    {}\n\
         last of them cut                     {:.2} s after shutdownTimeLimit by the mock's account\n\
         last cut seen by its device          {:.2} s after shutdownTimeLimit\n\
         all held again                       {:.2} s after shutdownTimeLimit\n\
         connections made by the herd         {connects}, {rate:.0} a second\n",
        options.devices,
        after(by_mock),
        after(cut),
        herd.as_secs_f64(),
    );
    drop(fleet);
    rig.mock.stop().await;
    Ok(text)
}
