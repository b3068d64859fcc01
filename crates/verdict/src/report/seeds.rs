//! What one scenario gave over many seeds: how sure its verdict is.

use std::collections::BTreeMap;
use std::fmt;

use crate::judge::{Outcome, Verdict};

/// What one seed gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedOutcome {
    /// The seed.
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// Its checks, in the order of the report.
    pub checks: Vec<CheckOutcome>,
}

/// What one check gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutcome {
    /// Its name.
    pub name: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub reason: String,
}

/// What all seeds gave, in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeedOutcomes(Vec<SeedOutcome>);

impl FromIterator<SeedOutcome> for SeedOutcomes {
    fn from_iter<T: IntoIterator<Item = SeedOutcome>>(outcomes: T) -> Self {
        let mut outcomes: Vec<_> = outcomes.into_iter().collect();
        outcomes.sort_by_key(|one| one.seed);
        Self(outcomes)
    }
}

impl SeedOutcomes {
    /// The verdict of all seeds; `None` if they differ or there are none.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let first = self.0.first()?.verdict;
        self.0
            .iter()
            .all(|one| one.verdict == first)
            .then_some(first)
    }
}

/// Seeds by what they gave, the most frequent first.
fn grouped<T: Ord + Copy>(given: impl Iterator<Item = (T, u64)>) -> Vec<(T, Vec<u64>)> {
    let mut groups: BTreeMap<T, Vec<u64>> = BTreeMap::new();
    for (what, seed) in given {
        groups.entry(what).or_default().push(seed);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, seeds)| std::cmp::Reverse(seeds.len()));
    groups
}

/// `pass 19 (95 %), fail 1 (5 %; seed 7)`: the odd ones by their seeds.
fn shares<T: Copy>(groups: &[(T, Vec<u64>)], name: fn(T) -> &'static str, of: usize) -> String {
    /// More seeds than these are no odd ones.
    const SHOWN: usize = 10;
    let shares = groups.iter().enumerate().map(|(place, (what, seeds))| {
        let share = 100.0 * seeds.len() as f64 / of as f64;
        let mut text = format!("{} {} ({share:.0} %", name(*what), seeds.len());
        if place > 0 {
            let shown: Vec<String> = seeds.iter().take(SHOWN).map(u64::to_string).collect();
            let plural = if seeds.len() == 1 { "" } else { "s" };
            text.push_str(&format!("; seed{plural} {}", shown.join(", ")));
            if seeds.len() > SHOWN {
                text.push_str(", …");
            }
        }
        text.push(')');
        text
    });
    shares.collect::<Vec<_>>().join(", ")
}

/// A table: one line for the verdict and one for each check, with the reason of one seed for each outcome that is neither
/// pass nor skipped.
impl fmt::Display for SeedOutcomes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.0.len();
        let verdicts = grouped(self.0.iter().map(|one| (one.verdict, one.seed)));
        writeln!(
            formatter,
            "{:<14} {}",
            "verdict",
            shares(&verdicts, Verdict::as_str, of)
        )?;
        let Some(first) = self.0.first() else {
            return Ok(());
        };
        for (index, CheckOutcome { name, .. }) in first.checks.iter().enumerate() {
            let given = self.0.iter().filter_map(|one| {
                let check = one.checks.get(index)?;
                Some((check.outcome, one.seed))
            });
            let groups = grouped(given);
            writeln!(
                formatter,
                "{name:<14} {}",
                shares(&groups, Outcome::as_str, of)
            )?;
            for (outcome, seeds) in groups {
                if !matches!(outcome, Outcome::Fail | Outcome::NoData) {
                    continue;
                }
                let example = self.0.iter().find(|one| Some(&one.seed) == seeds.first());
                let Some(check) = example.and_then(|one| one.checks.get(index)) else {
                    continue;
                };
                writeln!(
                    formatter,
                    "{:<14} · {}, seed {}: {}",
                    "",
                    outcome.as_str(),
                    seeds[0],
                    check.reason
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(seed: u64, verdict: Verdict, symptom: Outcome) -> SeedOutcome {
        SeedOutcome {
            seed,
            verdict,
            checks: vec![CheckOutcome {
                name: "symptom".to_owned(),
                outcome: symptom,
                reason: "because".to_owned(),
            }],
        }
    }

    #[test]
    fn odd_seeds_are_named_and_the_common_ones_are_counted() {
        let outcomes: SeedOutcomes = [
            outcome(3, Verdict::Passed, Outcome::Pass),
            outcome(1, Verdict::Passed, Outcome::Pass),
            outcome(2, Verdict::Failed, Outcome::Fail),
            outcome(4, Verdict::Passed, Outcome::Pass),
        ]
        .into_iter()
        .collect();
        assert_eq!(outcomes.verdict(), None);
        assert_eq!(
            outcomes.to_string(),
            "verdict        PASSED 3 (75 %), FAILED 1 (25 %; seed 2)\n\
             symptom        pass 3 (75 %), FAIL 1 (25 %; seed 2)\n\
             \x20              · FAIL, seed 2: because\n"
        );
    }

    #[test]
    fn seeds_that_agree_give_their_verdict() {
        let outcomes: SeedOutcomes = (1..=2)
            .map(|seed| outcome(seed, Verdict::Failed, Outcome::Fail))
            .collect();
        assert_eq!(outcomes.verdict(), Some(Verdict::Failed));
        assert!(!outcomes.to_string().contains("seeds"));
        assert_eq!(SeedOutcomes::default().verdict(), None);
    }
}
