//! A scenario file → a [`Plan`].

use std::fmt;
use std::path::Path;
use std::time::Duration;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use mock_api::fault::MAX_FAULTS;
use mock_api::{MockConfig, Topology};
use toml::de::DeTable;

use super::carrier::refuse_what_only_lean_can;
use super::devices::devices;
use super::mail::mail;
use super::mock::{faults, mock_config};
use super::observe::observe;
use super::policy::policy;
use super::reader::{Problem, Problems, Section};
use super::shown::shown_line;
use super::target::target;
use super::{
    AbandonPlan, Bound, ChecksPlan, Expectation, FlightPlan, LossPlan, PhaseKind, PhasePlan, Plan,
    PolicyPlan, TargetPlan, Threshold, Trigger, parse_threshold,
};

/// Defaults, each with its reason.
mod defaults {
    use std::time::Duration;

    /// Half as slow again is what users call slow.
    pub(super) const SYMPTOM_FACTOR: f64 = 1.5;
    /// A quarter is more than a healthy server varies from minute to minute.
    pub(super) const TOLERANCE: f64 = 1.25;
    /// What a garbage collection or a busy neighbour costs, and nobody notices.
    pub(super) const SLACK: Duration = Duration::from_millis(20);
    /// A fifth: enough for requests that come and go, too little for a leak.
    pub(super) const RESIDUE: f64 = 0.2;
}

/// Everything that is wrong with a scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError {
    file: String,
    text: String,
    problems: Vec<Problem>,
    /// Mistakes of syntax beyond the first ones.
    more: usize,
}

impl ScenarioError {
    /// How many mistakes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.len() + self.more
    }

    /// Where a mistake is: the start of its line, the line from 1, and the column in characters from 1.
    fn place(&self, problem: &Problem) -> (usize, usize, usize) {
        let before = &self.text[..problem.span.start.min(self.text.len())];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.matches('\n').count() + 1;
        (start, line, before[start..].chars().count() + 1)
    }

    /// One mistake for the terminal, with its line where that may be shown.
    fn rendered(&self, problem: &Problem) -> String {
        let title = format!("{}: {}", problem.key, problem.message);
        let title = Level::ERROR.primary_title(&title);
        let (start, number, column) = self.place(problem);
        let line = self.text[start..].lines().next().unwrap_or_default();
        // A table's span covers all its lines; its first line says enough.
        let within = |at: usize| at.saturating_sub(start).min(line.len());
        let at = within(problem.span.start)..within(problem.span.end);
        let report = match shown_line(line, at.clone()) {
            Some(line) => {
                let snippet = Snippet::source(line)
                    .path(&self.file)
                    .line_start(number)
                    .annotation(AnnotationKind::Primary.span(at));
                title.element(snippet)
            }
            None => {
                let origin = Origin::path(&self.file);
                title.element(origin.line(number).char_column(column))
            }
        };
        Renderer::plain().render(&[report])
    }

    /// One line per mistake: `file:line:column: key: message`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.problems
            .iter()
            .map(|problem| {
                let (_, line, column) = self.place(problem);
                format!(
                    "{}:{line}:{column}: {}: {}",
                    self.file, problem.key, problem.message
                )
            })
            .collect()
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(formatter, "{}", self.rendered(problem))?;
        }
        let count = self.count();
        write!(
            formatter,
            "{}: {count} mistake{}",
            self.file,
            if count == 1 { "" } else { "s" }
        )?;
        if self.more > 0 {
            write!(
                formatter,
                ", of which {} of syntax are not shown; expected a scenario file in TOML",
                self.more
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ScenarioError {}

/// Reads a scenario. `file` is its name in messages.
///
/// # Errors
/// With every mistake of the file.
pub fn parse(file: &str, text: &str) -> Result<Plan, ScenarioError> {
    parse_with(file, text, read)
}

/// Reads only the `[mock]` table: of a scenario, or of a file that has nothing else.
///
/// # Errors
/// With every mistake of that table, or when there is none.
pub fn parse_mock(file: &str, text: &str) -> Result<MockConfig, ScenarioError> {
    parse_with(file, text, |root, folder| {
        let section = root.section("mock");
        if section.is_none() && !root.has("mock") {
            root.problem("mock", "is missing; write a table [mock]");
        }
        Some(mock_config(section?, folder))
    })
}

fn parse_with<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(Section<'_>, &Path) -> Option<T>,
) -> Result<T, ScenarioError> {
    /// The first ones say what is wrong. A file of another kind has one in every line.
    const MOST_SYNTAX: usize = 5;
    let problems = Problems::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    let more = errors.len().saturating_sub(MOST_SYNTAX);
    for error in errors.into_iter().take(MOST_SYNTAX) {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().to_owned();
        problems.borrow_mut().push(Problem {
            span,
            key: "syntax".to_owned(),
            message,
        });
    }
    let read = if problems.borrow().is_empty() {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        read(Section::root(&table, &problems), folder)
    } else {
        None
    };
    let mut problems = problems.into_inner();
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        _ => {
            problems.sort_by_key(|problem| problem.span.start);
            Err(ScenarioError {
                file: file.to_owned(),
                text: text.to_owned(),
                problems,
                more,
            })
        }
    }
}

fn read(root: Section<'_>, folder: &Path) -> Option<Plan> {
    let name = root.required("name", root.text("name"), "\"nightly-recycle\"");
    if let Some(name) = &name
        && !is_file_name(name)
    {
        root.problem(
            "name",
            "expected letters, digits, `-`, `_` and `.` only: it names the run directory",
        );
    }
    let description = root.text("description").unwrap_or_default();
    let seed = root.integer("seed", 0..=u64::MAX);
    let target = target(&root, folder);
    let is_mock = matches!(target, Some(TargetPlan::Mock(_)));
    let whole_run = match &target {
        Some(TargetPlan::Mock(config)) => config.faults.len(),
        _ => 0,
    };
    let phases: Vec<PhasePlan> = root
        .sections("phase")
        .into_iter()
        .filter_map(|section| phase(section, is_mock, whole_run))
        .collect();
    if !root.has("phase") {
        root.problem(
            "phase",
            "is missing; write at least one [[phase]] with kind and duration",
        );
    }
    let devices = match root.section("devices") {
        Some(section) => devices(section, is_mock, folder),
        None => {
            root.problem("devices", "is missing; write [devices] with count = 500");
            None
        }
    };
    refuse_what_only_lean_can(&root, target.as_ref(), devices.as_ref(), &phases);
    let mail = root
        .section("mail")
        .and_then(|section| mail(section, is_mock));
    let topology = match &target {
        Some(TargetPlan::Mock(config)) => config.topology,
        _ => Topology::OneServer,
    };
    let observe = observe(root.section("observe"), is_mock, topology, folder);
    let policy = policy(
        root.section("policy"),
        target.as_ref(),
        &observe.pool,
        folder,
    );
    let checks = checks(root.section("checks"), &phases, policy.as_ref());
    root.finish();
    Some(Plan {
        name: name?,
        description,
        seed,
        target: target?,
        devices: devices?,
        mail,
        observe,
        policy,
        phases,
        checks,
    })
}

fn is_file_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

/// `whole_run` is the number of faults that are in force beside those of the phase.
fn phase(section: Section<'_>, is_mock: bool, whole_run: usize) -> Option<PhasePlan> {
    let kind = section.required(
        "kind",
        section.choice("kind", &PhaseKind::ALL),
        "\"baseline\"",
    );
    let duration = section.required("duration", section.duration("duration"), "\"30s\"");
    if duration.is_some_and(|duration| duration.is_zero() || duration.subsec_nanos() != 0) {
        section.problem("duration", "expected whole seconds, at least one");
    }
    let abandon = section.section("abandon").and_then(abandon);
    let flight = section
        .section("flight")
        .and_then(|section| flight(section, duration));
    let strand = section.number("strand", 0.0..=1.0).unwrap_or(0.0);
    if strand > 0.0 && !is_mock {
        section.problem("strand", "only the mock strands on demand; remove this key");
    }
    let faults = faults(&section);
    if !faults.is_empty() && !is_mock {
        section.problem("fault", "only the mock has faults; remove these tables");
    }
    let in_force = whole_run + faults.len() + usize::from(strand > 0.0);
    if in_force > MAX_FAULTS && whole_run <= MAX_FAULTS {
        section.problem(
            "fault",
            format!(
                "expected at most {MAX_FAULTS} faults in force, with those of the whole run and a share of strands; \
                 found {in_force}"
            ),
        );
    }
    let trigger = trigger(&section, is_mock);
    if kind == Some(PhaseKind::Hold) {
        // What is given up or recycled here hides what the phase is to show.
        let keys = ["abandon", "trigger", "trigger_command", "trigger_url"];
        for key in keys.into_iter().filter(|key| section.has(key)) {
            section.problem(
                key,
                "in a hold phase nothing is given up and nothing is recycled; remove this key",
            );
        }
    }
    section.finish();
    Some(PhasePlan {
        kind: kind?,
        duration: duration?,
        abandon,
        flight,
        strand,
        faults,
        trigger,
    })
}

fn trigger(section: &Section<'_>, is_mock: bool) -> Trigger {
    let words = [
        ("mock", Trigger::Mock),
        ("observe", Trigger::Observe),
        ("manual", Trigger::Manual),
    ];
    let numbers: Vec<(&str, usize)> = words
        .iter()
        .enumerate()
        .map(|(number, (word, _))| (*word, number))
        .collect();
    let word = section.choice("trigger", &numbers);
    let command = section.text("trigger_command");
    let url = section.text("trigger_url");
    let token_env = section.text("trigger_token_env");
    if token_env.is_some() && url.is_none() {
        section.problem(
            "trigger_token_env",
            "belongs to trigger_url, which is missing",
        );
    }
    let named = ["trigger", "trigger_command", "trigger_url"];
    if named.iter().filter(|key| section.has(key)).count() > 1 {
        section.problem(
            "trigger",
            "name one of trigger, trigger_command and trigger_url",
        );
        return Trigger::None;
    }
    if let Some(url) = url {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            section.problem("trigger_url", "expected http://… or https://…");
        }
        return Trigger::Hook { url, token_env };
    }
    if let Some(command) = command {
        return Trigger::Command(command);
    }
    let chosen = word.and_then(|number| words.get(number));
    match chosen.map(|(_, trigger)| trigger.clone()) {
        Some(Trigger::Mock) if !is_mock => {
            section.problem(
                "trigger",
                "the target is not the mock; expected \"observe\", \"manual\", trigger_command or \
                 trigger_url",
            );
            Trigger::None
        }
        Some(trigger) => trigger,
        None => Trigger::None,
    }
}

fn abandon(section: Section<'_>) -> Option<AbandonPlan> {
    let share = section.required("share", section.number("share", 0.0..=1.0), "0.3");
    let after = section.required("after", section.durations("after"), "\"1s..6s\"");
    let plan = AbandonPlan {
        share: share.unwrap_or(0.0),
        after: after.unwrap_or_default(),
        away: section.durations("away").unwrap_or_default(),
        how: loss(
            &section,
            LossPlan {
                fin: 1.0,
                rst: 0.0,
                silence: 0.0,
            },
        ),
    };
    section.finish();
    share.and(after).map(|_| plan)
}

/// A radio that is switched off says nothing.
fn flight(section: Section<'_>, phase: Option<Duration>) -> Option<FlightPlan> {
    let share = section.required("share", section.number("share", 0.0..=1.0), "0.5");
    let duration = section.required("duration", section.duration("duration"), "\"10s\"");
    if let (Some(duration), Some(phase)) = (duration, phase)
        && duration > phase
    {
        section.problem("duration", "expected no more than the phase lasts");
    }
    let plan = FlightPlan {
        share: share.unwrap_or(0.0),
        duration: duration.unwrap_or_default(),
        how: loss(
            &section,
            LossPlan {
                fin: 0.0,
                rst: 0.0,
                silence: 1.0,
            },
        ),
    };
    section.finish();
    share.and(duration).map(|_| plan)
}

/// The keys fin, rst and silence; `usual` where none is there.
fn loss(section: &Section<'_>, usual: LossPlan) -> LossPlan {
    let weight = |name| section.number(name, 0.0..=1000.0);
    let (fin, rst, silence) = (weight("fin"), weight("rst"), weight("silence"));
    if fin.is_none() && rst.is_none() && silence.is_none() {
        return usual;
    }
    let plan = LossPlan {
        fin: fin.unwrap_or(0.0),
        rst: rst.unwrap_or(0.0),
        silence: silence.unwrap_or(0.0),
    };
    if plan.fin + plan.rst + plan.silence <= 0.0 {
        section.problem("fin", "expected at least one of fin, rst, silence above 0");
    }
    plan
}

/// A threshold, unless it asks for a phase that is not played: such a one could never be judged.
fn with_its_phases(
    section: &Section<'_>,
    threshold: Threshold,
    phases: &[PhasePlan],
) -> Option<Threshold> {
    let other = match threshold.bound {
        Bound::Phase { phase, .. } => Some(phase),
        Bound::Number(_) | Bound::Percent(_) => None,
    };
    let missing = [threshold.phase, other]
        .into_iter()
        .flatten()
        .find(|kind| !phases.iter().any(|phase| phase.kind == *kind));
    match missing {
        Some(kind) => {
            section.problem(
                "thresholds",
                format!(
                    "\"{threshold}\": the scenario has no {} phase",
                    kind.as_str()
                ),
            );
            None
        }
        None => Some(threshold),
    }
}

fn checks(
    section: Option<Section<'_>>,
    phases: &[PhasePlan],
    policy: Option<&PolicyPlan>,
) -> ChecksPlan {
    let has = |kind| phases.iter().any(|phase| phase.kind == kind);
    let expected = |there| {
        if there {
            Expectation::Expected
        } else {
            Expectation::Any
        }
    };
    let mut plan = ChecksPlan {
        symptom: expected(has(PhaseKind::Aging)),
        recycle: expected(has(PhaseKind::Recycle)),
        symptom_factor: defaults::SYMPTOM_FACTOR,
        tolerance: defaults::TOLERANCE,
        slack: defaults::SLACK,
        residue: defaults::RESIDUE,
        by_policy: false,
        restored_within: None,
        thresholds: Vec::new(),
    };
    let Some(section) = section else { return plan };
    if let Some(choice) = section.choice("symptom", &Expectation::ALL) {
        plan.symptom = choice;
    }
    let [expected, absent, any] = Expectation::ALL;
    let by_policy = ("by-policy", Expectation::Expected);
    if let Some(choice) = section.choice("recycle", &[expected, absent, any, by_policy]) {
        plan.recycle = choice;
    }
    plan.by_policy = section.text("recycle").as_deref() == Some(by_policy.0);
    let never = policy.is_none_or(|policy| policy.time.is_zero() && policy.schedule.is_empty());
    if plan.by_policy && never && !section.is_reported("policy") {
        section.problem(
            "recycle",
            match policy {
                None => "needs a policy that recycles by time or schedule: write [policy] with file = \
                         \"applicationHost.config\""
                    .to_owned(),
                Some(policy) => format!(
                    "{} recycles the pool neither at an age nor at a time of day, as Exchange ships it; \
                     change that at the server first, or say with time or schedule in [policy] what \
                     it will be",
                    policy.source
                ),
            },
        );
    }
    if let Some(factor) = section.number("symptom_factor", 1.0..=1000.0) {
        plan.symptom_factor = factor;
    }
    if let Some(factor) = section.number("tolerance", 1.0..=1000.0) {
        plan.tolerance = factor;
    }
    if let Some(slack) = section.duration("slack") {
        plan.slack = slack;
    }
    if let Some(share) = section.number("residue", 0.0..=1.0) {
        plan.residue = share;
    }
    plan.restored_within = section.duration("restored_within");
    for text in section.texts("thresholds").unwrap_or_default() {
        match parse_threshold(&text) {
            Ok(threshold) => {
                plan.thresholds
                    .extend(with_its_phases(&section, threshold, phases));
            }
            Err(problem) => section.problem("thresholds", format!("\"{text}\": {problem}")),
        }
    }
    section.finish();
    plan
}
