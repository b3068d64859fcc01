//! Was the symptom there?

use super::look_alikes::LookAlike;
use super::*;

impl RunData<'_> {
    /// Did stranded requests gather, and did the service get worse?
    pub(in crate::judge) fn symptom(&self) -> Check {
        let check = Draft::new("symptom");
        let others = self.look_alikes();
        match self.plan.checks.symptom {
            Expectation::Any => check
                .figures(others.iter().map(LookAlike::told).collect())
                .skip("the scenario does not ask for it"),
            Expectation::Absent => self.no_symptom(check, &others),
            Expectation::Expected => self.expected_symptom(check, &others),
        }
    }

    fn no_symptom(&self, check: Draft<'_>, others: &[LookAlike]) -> Check {
        let stranding = self.stranding();
        let mut figures = stranding.figures.clone();
        figures.extend(others.iter().map(LookAlike::told));
        let check = check.figures(figures).on(stranding.grade);
        match stranding.finding {
            Finding::Stranded => {
                check.fail(format!("{}, though none should strand", stranding.reason))
            }
            Finding::NotStranded => check.pass(stranding.reason.clone()),
            Finding::Unknown => check.no_data(stranding.reason.clone()),
        }
    }

    fn expected_symptom(&self, check: Draft<'_>, others: &[LookAlike]) -> Check {
        let stranding = self.stranding();
        let mut figures = stranding.figures.clone();
        let aging = self.of(PhaseKind::Aging);
        let degraded = &aging[aging.len() * 2 / 3..];
        let baseline = self.of(PhaseKind::Baseline);
        let mut told = Vec::new();
        let factor = self.plan.checks.symptom_factor;
        let worse = self.worsening(&baseline, degraded, factor, &mut told);
        let in_aging = |figure: String| format!("in the last third of aging: {figure}");
        figures.extend(told.into_iter().map(in_aging));
        figures.extend(others.iter().map(LookAlike::told));
        let check = check.figures(figures).on(stranding.grade);
        let is_counted = (stranding.finding, stranding.grade) == (Finding::Stranded, Grade::Server);
        let explaining = others.iter().filter(|other| other.explains);
        let names: Vec<&str> = explaining.map(|other| other.name).collect();
        if !names.is_empty() && !is_counted {
            return check.no_data(format!("not this bug: {}", names.join("; ")));
        }
        match stranding.finding {
            Finding::Unknown => check.no_data(stranding.reason.clone()),
            Finding::NotStranded => check.no_data(format!("not reproduced: {}", stranding.reason)),
            // The pattern from outside is that of a service that got worse.
            Finding::Stranded if !is_counted => check.pass(stranding.reason.clone()),
            Finding::Stranded => self.counted(check, worse),
        }
    }

    /// Requests are stranded, as the server's figures prove. Does it hurt?
    fn counted(&self, check: Draft<'_>, worse: Option<Worse>) -> Check {
        let factor = self.plan.checks.symptom_factor;
        match worse {
            None => check.no_data(
                "stranded requests gather, but too few Syncs were measured to say whether it hurts",
            ),
            Some(Worse::Unproven) => check.no_data(format!(
                "stranded requests gather, and what was measured is worse by {factor} and more, but it is so \
                 little that it may be chance; a longer aging phase would tell"
            )),
            Some(Worse::No) => check.no_data(format!(
                "not reproduced: stranded requests gather, but neither latencies nor failing requests nor \
                 waiting devices got worse by {factor}"
            )),
            Some(Worse::Proven) => {
                let (baseline, lasting) = (self.of(PhaseKind::Baseline), self.outlasting());
                match self.worsening(&baseline, &lasting, factor, &mut Vec::new()) {
                    Some(Worse::No) => check.no_data(
                        "not reproduced: requests are stranded, but the service got well by itself when devices \
                         stopped giving Pings up",
                    ),
                    _ => check.pass("stranded requests gather, and the service gets worse"),
                }
            }
        }
    }
}
