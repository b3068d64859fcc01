//! Figures of the server that change when a worker process is new.

/// A figure that rises when something happens.
#[derive(Debug, Default)]
pub(super) struct Rising {
    before: Option<f64>,
    /// The value from which it fell last.
    fell_from: Option<f64>,
    /// When it rose last, and before that.
    rose: [Option<f64>; 2],
}

impl Rising {
    /// Takes a reading in. Returns whether it is above the last one by more than `grain`. A return to the value
    /// from which it fell is no rise: the reading in between was wrong.
    pub(super) fn rose(&mut self, now: Option<f64>, grain: f64) -> bool {
        let Some(now) = now.filter(|now| now.is_finite()) else {
            return false;
        };
        let Some(before) = self.before.replace(now) else {
            return false;
        };
        if now < before - grain {
            self.fell_from = Some(before);
            return false;
        }
        let is_return = |from: f64| (now - from).abs() <= grain;
        now > before + grain && !self.fell_from.is_some_and(is_return)
    }

    /// The same, except for a figure that rises again and again: a server that starts worker processes as
    /// it needs them is not recycled by that.
    pub(super) fn seldom_rose(&mut self, t: f64, now: Option<f64>, grain: f64) -> bool {
        /// A third rise within so many seconds is a habit.
        const SELDOM: f64 = 120.0;
        if !self.rose(now, grain) {
            return false;
        }
        let often = self.rose[1].is_some_and(|rose| t - rose <= SELDOM);
        self.rose = [Some(t), self.rose[0]];
        !often
    }
}

/// A total that falls when its process is new.
#[derive(Debug, Default)]
pub(super) struct Falling {
    before: Option<f64>,
    /// When it fell, from which value and to which.
    fall: Option<(f64, f64, f64)>,
}

impl Falling {
    /// Takes a reading in. Returns when the total fell, once it counts up from there. A source that is read
    /// seldom repeats its last value, so the same value again proves nothing, and one wrong reading is followed
    /// by the old values.
    pub(super) fn fell(&mut self, t: f64, now: Option<f64>) -> Option<f64> {
        let now = now.filter(|now| now.is_finite())?;
        let before = self.before.replace(now);
        match self.fall {
            Some((at, from, to)) if now != to => {
                self.fall = None;
                (to < now && now < from).then_some(at)
            }
            Some(_) => None,
            None => {
                let from = before.filter(|before| now < *before);
                self.fall = from.map(|from| (t, from, now));
                None
            }
        }
    }
}
