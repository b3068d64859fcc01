//! The date and time: the system's, or that of a simulation on this thread.
//!
//! A simulation runs on one thread under tokio's paused clock, and its date follows that clock. So who asks
//! here for the date gets the right one without being told where it is.

use std::cell::Cell;
use std::marker::PhantomData;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

thread_local! {
    /// The date at which the simulation of this thread began, and when that was.
    static SIMULATED: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// The date and time now.
#[must_use]
pub fn now() -> Timestamp {
    match SIMULATED.get() {
        None => Timestamp::now(),
        Some((began, at)) => {
            let passed = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
            began.checked_add(passed).unwrap_or(Timestamp::MAX)
        }
    }
}

/// From here on, until what is returned is dropped, this thread's date is `began` and goes on with tokio's
/// clock. Call it inside of the runtime.
#[must_use]
pub fn simulate(began: Timestamp) -> Simulation {
    let before = SIMULATED.replace(Some((began, Instant::now())));
    Simulation {
        before,
        of_this_thread: PhantomData,
    }
}

/// A simulated date, as long as it lives.
#[derive(Debug)]
pub struct Simulation {
    before: Option<(Timestamp, Instant)>,
    /// It must be dropped where it was made.
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Simulation {
    fn drop(&mut self) {
        SIMULATED.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_date_follows_the_paused_clock_and_ends_with_the_simulation() {
        let began = Timestamp::UNIX_EPOCH;
        let simulation = simulate(began);
        assert_eq!(now(), began);
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(now().as_second(), 86_400);
        // Other threads have their own date.
        let elsewhere = std::thread::spawn(now).join().unwrap();
        assert!(elsewhere.as_second() > 1_700_000_000);
        drop(simulation);
        assert!(now().as_second() > 1_700_000_000);
    }
}
