//! The operator's rules: conditions in CEL over what a request says of itself, and what follows from the first that holds.
//!
//! Rules are compiled when the configuration is read; one that cannot be, or that names something unknown, refuses it. A rule
//! whose condition cannot be evaluated (it asks for a field that the request does not have) counts as holding where it takes
//! something away, and as not holding where it does not: a mistake never allows what was to be denied.
//!
//! Pure: no clock, no network, the same request and rules give the same verdict.

mod client;
pub(crate) mod facts;
pub(crate) mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use cel::{Context, ExecutionError, Program, Value};
use pointsman::policy::matches;
use pointsman::{Limits, Objective};

use crate::error::Error;
use crate::regions::is_region;
use facts::{Asked, Facts, NAMES};
use split::Split;

/// A rule as configured; [`Settings::policies`](crate::Settings::policies).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySettings {
    /// Unique; in replies and logs.
    pub name: String,
    /// A condition in CEL; `None` always holds.
    pub when: Option<String>,
    /// Names or patterns of the only models that may be used; empty: all.
    pub allow: Vec<String>,
    /// Names or patterns of models that may not be used.
    pub deny: Vec<String>,
    /// What the router weighs, whatever the request says.
    pub objective: Option<Objective>,
    /// Most a call may be expected to cost, in USD, 0 or more. The request's own limits count too; the tighter one binds.
    pub max_cost_usd: Option<f64>,
    /// Least expected quality, from 0 to 1.
    pub min_quality: Option<f64>,
    /// Longest expected latency in milliseconds, 0 or more.
    pub max_latency_ms: Option<f64>,
    /// The only region where the request may be carried out, 1 to 64 visible ASCII characters.
    pub region: Option<String>,
    /// Weights, above 0, by names of the router's models: one of these answers what leaves the choice to the router.
    /// Empty: the router decides.
    pub split: BTreeMap<String, f64>,
    /// Refuses the request, with this sentence.
    pub refuse: Option<String>,
}

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    when: Option<Program>,
    /// Models of the router that it takes away.
    pub(crate) denied: Vec<String>,
    pub(crate) objective: Option<Objective>,
    /// What else the decision must keep within.
    pub(crate) limits: Limits,
    pub(crate) region: Option<String>,
    pub(crate) split: Option<Split>,
    pub(crate) refuse: Option<String>,
    /// Whether the log was told that its condition cannot be evaluated.
    is_told: AtomicBool,
}

/// All rules, in their order.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    rules: Vec<Rule>,
    asked: Asked,
}

/// Whether a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// Its condition cannot be evaluated; whether it counts as holding, and why. The reason may repeat what the request
    /// says and is for whoever sent it.
    Broken {
        counts: bool,
        why: String,
        kind: &'static str,
    },
}

impl Holds {
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Self::Yes | Self::Broken { counts: true, .. })
    }
}

impl Policies {
    /// Compiles rules against a router's models, and the names of `others` that have targets but no predictions.
    pub(crate) fn new(settings: &[PolicySettings], models: &[String], others: &[String]) -> Result<Self, Error> {
        let mut policies = Self::default();
        for setting in settings {
            if setting.name.is_empty() || policies.rules.iter().any(|rule| rule.name == setting.name) {
                let expected = "one that no other policy has";
                return Err(Error::policy(&setting.name, "name", expected, &setting.name));
            }
            let (rule, asked) = Rule::new(setting, models, others)?;
            policies.asked = policies.asked.and(asked);
            policies.rules.push(rule);
        }
        Ok(policies)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the conditions ask for.
    pub(crate) fn asked(&self) -> Asked {
        self.asked
    }

    /// The first rule that counts as holding; where that is one that cannot be evaluated, a refusal that follows goes before it.
    pub(crate) fn first(&self, facts: &Facts<'_>) -> Option<&Rule> {
        if self.is_empty() {
            return None;
        }
        let scope = facts.scope(self.asked);
        let mut broken: Option<&Rule> = None;
        for rule in &self.rules {
            match rule.holds(&scope) {
                // Whether a rule before it would have held nobody knows; a refusal behind it must not hang on that.
                Holds::Yes if rule.refuse.is_some() => return Some(rule),
                Holds::Yes => return broken.or(Some(rule)),
                Holds::No => {}
                Holds::Broken { kind, counts, .. } => {
                    if rule.is_told.swap(true, Ordering::Relaxed) {
                        tracing::debug!(policy = rule.name, kind, counts, "a policy's condition cannot be evaluated");
                    } else {
                        let message =
                            "a policy's condition cannot be evaluated; from here on this is told at level debug alone";
                        tracing::warn!(policy = rule.name, kind, counts, "{message}");
                    }
                    if counts && rule.refuse.is_some() {
                        return Some(rule);
                    }
                    broken = broken.or(counts.then_some(rule));
                }
            }
        }
        broken
    }

    /// Every rule and whether it holds, for people who wonder.
    pub(crate) fn each(&self, facts: &Facts<'_>) -> impl Iterator<Item = (&Rule, Holds)> {
        let scope = facts.scope(self.asked);
        self.rules.iter().map(move |rule| (rule, rule.holds(&scope)))
    }
}

impl Rule {
    fn new(setting: &PolicySettings, models: &[String], others: &[String]) -> Result<(Self, Asked), Error> {
        let bad = |field, expected, got: &str| Error::policy(&setting.name, field, expected, got);
        let all = || models.iter().chain(others);
        for (field, patterns) in [("allow", &setting.allow), ("deny", &setting.deny)] {
            if let Some(pattern) = patterns.iter().find(|pattern| !all().any(|model| matches(pattern, model))) {
                return Err(bad(field, "patterns that fit a model of the router", pattern));
            }
        }
        let is_denied = |model: &&String| {
            let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, model));
            (!setting.allow.is_empty() && !fits(&setting.allow)) || fits(&setting.deny)
        };
        let denied: Vec<String> = all().filter(is_denied).cloned().collect();
        if denied.len() == models.len() + others.len() {
            return Err(bad("deny", "patterns that leave a model", "all of them; say `refuse` to refuse"));
        }
        let PolicySettings { max_cost_usd, min_quality, max_latency_ms, .. } = *setting;
        let limits = Limits { max_cost_usd, min_quality, max_latency_ms, ..Limits::default() };
        limits.validate().map_err(|error| match error {
            pointsman::Error::BadPolicy { field, expected, got } => bad(field, expected, &got),
            error => error.into(),
        })?;
        if let Some(region) = setting.region.as_ref().filter(|region| !is_region(region)) {
            return Err(bad("region", "1 to 64 visible ASCII characters", region));
        }
        let split = (!setting.split.is_empty()).then(|| Split::new(&setting.split, models)).transpose();
        let split = split.map_err(|(expected, got)| bad("split", expected, &got))?;
        if let Some(model) = split.as_ref().and_then(|split| split.names_one_of(&denied)) {
            return Err(bad("split", "models that `allow` and `deny` leave", model));
        }
        let (when, asked) = setting.when.as_deref().map(|when| compile(when, &bad)).transpose()?.unzip();
        let rule = Self {
            name: setting.name.clone(),
            when,
            denied,
            objective: setting.objective.clone(),
            limits,
            region: setting.region.clone(),
            split,
            refuse: setting.refuse.clone(),
            is_told: AtomicBool::new(false),
        };
        // What is neither true nor false of a request that says nothing of itself is so of no request.
        let nothing = Facts::nothing();
        if let Some(Ok(value)) = rule.when.as_ref().map(|when| when.execute(&nothing.scope(asked.unwrap_or_default())))
            && !matches!(value, Value::Bool(_))
        {
            return Err(bad("when", "a condition that is true or false", setting.when.as_deref().unwrap_or_default()));
        }
        let does_something = rule.takes_away() || rule.objective.is_some() || rule.split.is_some();
        if rule.when.is_none() && !does_something {
            return Err(bad("when", "a condition, or something that the rule does", "neither"));
        }
        Ok((rule, asked.unwrap_or_default()))
    }

    /// Whether its condition holds.
    fn holds(&self, scope: &Context<'_, '_>) -> Holds {
        let Some(program) = &self.when else { return Holds::Yes };
        let broken = |kind, why: String| Holds::Broken { counts: self.takes_away(), why, kind };
        match program.execute(scope) {
            Ok(Value::Bool(true)) => Holds::Yes,
            Ok(Value::Bool(false)) => Holds::No,
            Ok(_) => broken("another value", "expected true or false, got another value".to_owned()),
            Err(error) => broken(kind(&error), error.to_string().chars().take(200).collect()),
        }
    }

    /// Whether something is less allowed where it holds.
    fn takes_away(&self) -> bool {
        let is_limited = self.limits != Limits::default() || self.region.is_some();
        is_limited || !self.denied.is_empty() || self.refuse.is_some()
    }

    /// Adds its limits to a request's own: of two the tighter one.
    pub(crate) fn tighten(&self, limits: Limits) -> Limits {
        let of_two = |own: Option<f64>, ruled: Option<f64>, tighter: fn(f64, f64) -> f64| match (own, ruled) {
            (Some(own), Some(ruled)) => Some(tighter(own, ruled)),
            (own, ruled) => own.or(ruled),
        };
        Limits {
            max_cost_usd: of_two(limits.max_cost_usd, self.limits.max_cost_usd, f64::min),
            min_quality: of_two(limits.min_quality, self.limits.min_quality, f64::max),
            max_latency_ms: of_two(limits.max_latency_ms, self.limits.max_latency_ms, f64::min),
            needs: limits.needs,
        }
    }
}

fn compile(when: &str, bad: &impl Fn(&'static str, &'static str, &str) -> Error) -> Result<(Program, Asked), Error> {
    let program =
        Program::compile(when).map_err(|errors| bad("when", "a condition in CEL", &format!("{when}: {errors}")))?;
    let asked = Asked::of(program.expression()).map_err(|name| bad("when", NAMES, &name))?;
    Ok((program, asked))
}

/// What is wrong with a condition, without what the request says.
fn kind(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::NoSuchKey(_) => "a field that is not there",
        ExecutionError::NoSuchOverload(_) | ExecutionError::UnexpectedType { .. } => "a value of another type",
        _ => "an error",
    }
}
