//! The operator's rules: conditions in CEL over what a request says of itself, and what follows from the first that holds.
//!
//! Rules are compiled when the configuration is read; one that cannot be, or that names something unknown, refuses it. A rule
//! whose condition cannot be evaluated (it asks for a field that the request does not have) counts as holding where it takes
//! something away, and as not holding where it does not: a mistake never allows what was to be denied.
//!
//! Pure: no clock, no network, the same request and rules give the same verdict.

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value};
use pointsman::policy::matches;
use pointsman::{ContextValue, Objective};

use crate::error::Error;

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
    /// Refuses the request, with this sentence.
    pub refuse: Option<String>,
}

/// What conditions may ask for.
const VARIABLES: [&str; 10] =
    ["context", "tenant", "session", "region", "model", "tools", "images", "json", "turns", "chars"];

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'f> {
    pub(crate) context: &'f [(&'f str, ContextValue<'f>)],
    /// Empty where there is none.
    pub(crate) tenant: &'f str,
    pub(crate) session: &'f str,
    pub(crate) region: &'f str,
    /// What was asked for: `auto`, an alias, a model.
    pub(crate) model: &'f str,
    pub(crate) tools: usize,
    pub(crate) images: usize,
    pub(crate) json: bool,
    pub(crate) turns: usize,
    /// Characters of all turns.
    pub(crate) chars: usize,
}

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    when: Option<Program>,
    /// Models of the router that it takes away.
    pub(crate) denied: Vec<String>,
    pub(crate) objective: Option<Objective>,
    pub(crate) refuse: Option<String>,
}

/// All rules, in their order.
#[derive(Debug, Default)]
pub(crate) struct Policies(Vec<Rule>);

/// Whether a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// Its condition cannot be evaluated; whether it counts as holding, and why.
    Broken {
        counts: bool,
        why: String,
    },
}

impl Holds {
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Self::Yes | Self::Broken { counts: true, .. })
    }
}

/// The functions of CEL, made once.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

impl Policies {
    /// Compiles rules against a router's models.
    pub(crate) fn new(settings: &[PolicySettings], models: &[String]) -> Result<Self, Error> {
        let mut rules: Vec<Rule> = Vec::new();
        for setting in settings {
            let bad = |field, expected, got: &str| Error::policy(&setting.name, field, expected, got);
            if setting.name.is_empty() || rules.iter().any(|rule| rule.name == setting.name) {
                return Err(bad("name", "one that no other policy has", &setting.name));
            }
            for (field, patterns) in [("allow", &setting.allow), ("deny", &setting.deny)] {
                if let Some(pattern) =
                    patterns.iter().find(|pattern| !models.iter().any(|model| matches(pattern, model)))
                {
                    return Err(bad(field, "patterns that fit a model of the router", pattern));
                }
            }
            let is_denied = |model: &&String| {
                let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, model));
                (!setting.allow.is_empty() && !fits(&setting.allow)) || fits(&setting.deny)
            };
            let denied: Vec<String> = models.iter().filter(is_denied).cloned().collect();
            if denied.len() == models.len() {
                return Err(bad("deny", "patterns that leave a model", "all of them; say `refuse` to refuse"));
            }
            let does_nothing = denied.is_empty() && setting.objective.is_none() && setting.refuse.is_none();
            if does_nothing && setting.when.is_none() {
                return Err(bad("when", "a condition, or allow, deny, objective or refuse", "none of them"));
            }
            rules.push(Rule {
                name: setting.name.clone(),
                when: setting.when.as_deref().map(|when| compile(when, &bad)).transpose()?,
                denied,
                objective: setting.objective.clone(),
                refuse: setting.refuse.clone(),
            });
        }
        Ok(Self(rules))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first rule that counts as holding.
    pub(crate) fn first(&self, facts: &Facts<'_>) -> Option<&Rule> {
        self.0.iter().find(|rule| {
            let holds = rule.holds(facts);
            if let Holds::Broken { why, counts } = &holds {
                tracing::warn!(policy = rule.name, why, counts, "a policy's condition cannot be evaluated");
            }
            holds.counts()
        })
    }

    /// Every rule and whether it holds, for people who wonder.
    pub(crate) fn each(&self, facts: &Facts<'_>) -> impl Iterator<Item = (&Rule, Holds)> {
        self.0.iter().map(|rule| (rule, rule.holds(facts)))
    }
}

fn compile(when: &str, bad: &impl Fn(&'static str, &'static str, &str) -> Error) -> Result<Program, Error> {
    let program =
        Program::compile(when).map_err(|errors| bad("when", "a condition in CEL", &format!("{when}: {errors}")))?;
    let unknown =
        program.references().variables().into_iter().find(|name| !VARIABLES.contains(name)).map(str::to_owned);
    match unknown {
        Some(name) => {
            Err(bad("when", "context, tenant, session, region, model, tools, images, json, turns or chars", &name))
        }
        None => Ok(program),
    }
}

impl Rule {
    /// Whether its condition holds.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> Holds {
        let Some(program) = &self.when else { return Holds::Yes };
        let broken = |why: String| Holds::Broken { counts: self.takes_away(), why };
        match program.execute(&facts.context()) {
            Ok(Value::Bool(true)) => Holds::Yes,
            Ok(Value::Bool(false)) => Holds::No,
            Ok(_) => broken("expected true or false, got another value".to_owned()),
            Err(error) => broken(error.to_string().chars().take(200).collect()),
        }
    }

    /// Whether something is less allowed where it holds.
    fn takes_away(&self) -> bool {
        !self.denied.is_empty() || self.refuse.is_some()
    }
}

impl Facts<'_> {
    fn context(&self) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        let value = |value: &ContextValue<'_>| match value {
            ContextValue::Text(text) => Value::from(*text),
            ContextValue::Number(number) => Value::Float(*number),
            ContextValue::Bool(flag) => Value::Bool(*flag),
        };
        let given: std::collections::HashMap<String, Value> =
            self.context.iter().map(|(name, given)| ((*name).to_owned(), value(given))).collect();
        context.add_variable_from_value("context", given);
        for (name, text) in
            [("tenant", self.tenant), ("session", self.session), ("region", self.region), ("model", self.model)]
        {
            context.add_variable_from_value(name, text);
        }
        for (name, count) in
            [("tools", self.tools), ("images", self.images), ("turns", self.turns), ("chars", self.chars)]
        {
            context.add_variable_from_value(name, i64::try_from(count).unwrap_or(i64::MAX));
        }
        context.add_variable_from_value("json", self.json);
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        context: &[
            ("plan", ContextValue::Text("free")),
            ("age", ContextValue::Number(36.0)),
            ("beta", ContextValue::Bool(true)),
        ],
        tenant: "acme",
        session: "",
        region: "eu",
        model: "auto",
        tools: 2,
        images: 0,
        json: false,
        turns: 3,
        chars: 120,
    };

    fn rule(when: &str) -> PolicySettings {
        PolicySettings {
            name: when.to_owned(),
            when: Some(when.to_owned()),
            deny: vec!["large".into()],
            ..PolicySettings::default()
        }
    }

    fn models() -> Vec<String> {
        ["small", "large"].map(str::to_owned).into()
    }

    #[test]
    fn conditions_see_what_a_request_says_of_itself() {
        for (when, expected) in [
            (r#"context.plan == "free""#, true),
            (r#"context.plan == "pro""#, false),
            ("context.age > 30.0 && context.beta", true),
            (r#"has(context.country) && context.country == "de""#, false),
            (r#"tenant == "acme" && region in ["eu", "us"]"#, true),
            (r#"model.startsWith("auto") && tools > 0 && images == 0"#, true),
            ("turns > 2 && chars < 100", false),
            ("!json", true),
        ] {
            let policies = Policies::new(&[rule(when)], &models()).expect(when);
            assert_eq!(policies.first(&FACTS).is_some(), expected, "{when}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_denies_and_does_not_allow() {
        let missing = r#"context.country == "de""#;
        let policies = Policies::new(&[rule(missing)], &models()).expect("compiles");
        assert!(policies.first(&FACTS).is_some(), "a rule that denies holds where it cannot be evaluated");
        let kind = PolicySettings { deny: Vec::new(), objective: Some(Objective::Cheap), ..rule(missing) };
        let policies = Policies::new(&[kind], &models()).expect("compiles");
        assert!(policies.first(&FACTS).is_none());
        let refusing = PolicySettings { deny: Vec::new(), refuse: Some("no".into()), ..rule("tools") };
        let policies = Policies::new(&[refusing], &models()).expect("compiles");
        assert!(policies.first(&FACTS).is_some(), "a number is neither true nor false");
    }

    #[test]
    fn the_first_that_holds_counts() {
        let rules = [rule("tools > 5"), rule("tools > 1"), rule("tools > 0")];
        let policies = Policies::new(&rules, &models()).expect("compiles");
        assert_eq!(policies.first(&FACTS).expect("one holds").name, "tools > 1");
        let told: Vec<bool> = policies.each(&FACTS).map(|(_, holds)| holds.counts()).collect();
        assert_eq!(told, [false, true, true]);
    }

    #[test]
    fn rules_that_cannot_be_are_refused() {
        for (bad, expected) in [
            (rule("context.plan =="), "when expected a condition in CEL"),
            (rule("plan == 1"), "when expected context, tenant"),
            (PolicySettings { deny: vec!["gpt*".into()], ..rule("true") }, "deny expected patterns that fit"),
            (PolicySettings { deny: vec!["*".into()], ..rule("true") }, "deny expected patterns that leave a model"),
            (PolicySettings { name: String::new(), ..rule("true") }, "name expected"),
            (PolicySettings { name: "x".into(), ..PolicySettings::default() }, "when expected a condition, or"),
        ] {
            let error = Policies::new(&[bad], &models()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Policies::new(&[rule("true"), rule("true")], &models()).is_err(), "two of one name");
    }

    #[test]
    fn no_condition_panics() {
        let mut random = 1_u64;
        let parts = [
            "context",
            ".plan",
            "[",
            "]",
            "(",
            ")",
            "\"",
            "1",
            "==",
            "&&",
            "!",
            "tools",
            " in ",
            "{",
            "}",
            "?",
            ":",
            "é",
            ".map(x, x)",
            "-",
            "9223372036854775807",
            "+ 1",
            "/ 0",
            "% 0",
        ];
        for _ in 0..3_000 {
            let mut text = String::new();
            for _ in 0..8 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(parts[(random >> 33) as usize % parts.len()]);
            }
            if let Ok(policies) = Policies::new(&[rule(&text)], &models()) {
                policies.first(&FACTS);
            }
        }
    }
}
