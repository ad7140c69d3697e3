use pointsman::artifact::{CostHead, CostTarget};
use pointsman::{ContextValue, Turn};

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
    turns: &[Turn { role: pointsman::Role::User, text: "Grüße aus Wien, was ist zwei und zwei?" }; 3],
    costs: &[
        CostHead { target: CostTarget::CostUsd, base_tokens: 1.0, tokens_per_char: 0.25 },
        CostHead { target: CostTarget::CostUsd, base_tokens: 8.0, tokens_per_char: 0.3 },
    ],
    tags: &[],
    metadata: &[],
    user_agent: b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148",
    accept_language: b"de-AT,de;q=0.9",
    // A Sunday, 14:30 UTC.
    at_us: 1_795_962_600_000_000,
};

fn policies(rules: &[PolicySettings]) -> Policies {
    Policies::new(rules, &models(), &[]).expect("valid")
}

fn rule(when: &str) -> PolicySettings {
    PolicySettings {
        name: when.to_owned(),
        when: Some(when.to_owned()),
        deny: vec!["large".into()],
        ..PolicySettings::default()
    }
}

fn split(weights: &[(&str, f64)]) -> PolicySettings {
    let split = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    PolicySettings { split, ..rule("true") }
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
        ("chars == 114 && tokens == 43", true),
        ("!json", true),
        (r#"device == "mobile" && locale.startsWith("de")"#, true),
        (r#"locale == "de-at""#, true),
        ("hour == 14 && weekday == 7", true),
        ("weekday in [1, 2, 3, 4, 5] && hour >= 8 && hour < 18", false),
        (r#""beta" in tags"#, true),
        (r#"tags.exists(tag, tag.startsWith("team:"))"#, true),
        (r#"tags.all(tag, tag == "beta")"#, false),
        ("size(tags) == 2", true),
        (r#"metadata.user_plan == "pro""#, true),
        (r#"has(metadata.country) && metadata.country == "at""#, false),
        (r#""user_plan" in metadata"#, true),
    ] {
        let tags = ["beta", "team:search"].map(str::to_owned);
        let metadata = [("user_plan".into(), "pro".into())];
        let facts = Facts { tags: &tags, metadata: &metadata, ..FACTS };
        assert_eq!(policies(&[rule(when)]).first(&facts).is_some(), expected, "{when}");
    }
}

#[test]
fn what_cannot_be_evaluated_denies_and_does_not_allow() {
    let missing = r#"context.country == "de""#;
    assert!(policies(&[rule(missing)]).first(&FACTS).is_some(), "a rule that denies holds then");
    let only = |rule: PolicySettings| PolicySettings { deny: Vec::new(), ..rule };
    let split = BTreeMap::from([("large".to_owned(), 1.0)]);
    for kind in [
        PolicySettings { objective: Some(Objective::Cheap), ..only(rule(missing)) },
        PolicySettings { split, ..only(rule(missing)) },
    ] {
        assert!(policies(&[kind]).first(&FACTS).is_none());
    }
    for strict in [
        PolicySettings { max_cost_usd: Some(1.0), ..only(rule(missing)) },
        PolicySettings { min_quality: Some(0.5), ..only(rule(missing)) },
        PolicySettings { max_latency_ms: Some(9.0), ..only(rule(missing)) },
        PolicySettings { region: Some("eu".into()), ..only(rule(missing)) },
    ] {
        assert!(policies(&[strict]).first(&FACTS).is_some(), "a limit takes away, too");
    }
    let refusing = PolicySettings { refuse: Some("no".into()), ..only(rule("context.plan")) };
    assert!(policies(&[refusing]).first(&FACTS).is_some(), "a text is neither true nor false");
    // What never can be is known before there is a request.
    for never in ["hour", "tools", "\"a\" + tenant", "tags"] {
        let error = Policies::new(&[rule(never)], &models(), &[]).expect_err("refused").to_string();
        assert!(error.contains("a condition that is true or false"), "{error}");
    }
}

#[test]
fn of_two_limits_the_tighter_one_binds() {
    let setting = PolicySettings {
        max_cost_usd: Some(0.01),
        min_quality: Some(0.5),
        max_latency_ms: Some(500.0),
        ..rule("true")
    };
    let rules = policies(&[setting]);
    let rule = rules.first(&FACTS).expect("it holds");
    let limits = |cost, quality, latency| Limits {
        max_cost_usd: cost,
        min_quality: quality,
        max_latency_ms: latency,
        ..Limits::default()
    };
    assert_eq!(rule.tighten(Limits::default()), limits(Some(0.01), Some(0.5), Some(500.0)));
    let own = limits(Some(0.001), Some(0.9), Some(50.0));
    assert_eq!(rule.tighten(own), own);
    let lax = limits(Some(1.0), Some(0.1), Some(5_000.0));
    assert_eq!(rule.tighten(lax), limits(Some(0.01), Some(0.5), Some(500.0)));
}

#[test]
fn the_first_that_holds_counts() {
    let rules = [rule("tools > 5"), rule("tools > 1"), rule("tools > 0")];
    let policies = policies(&rules);
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
        (rule("tags.exists(t, t == other)"), "or weekday, got `other`"),
        (PolicySettings { max_cost_usd: Some(-1.0), ..rule("true") }, "max_cost_usd expected 0 or more USD, got `-1`"),
        (PolicySettings { max_cost_usd: Some(f64::NAN), ..rule("true") }, "max_cost_usd expected 0 or more USD"),
        (PolicySettings { min_quality: Some(1.5), ..rule("true") }, "min_quality expected a quality from 0 to 1"),
        (
            PolicySettings { max_latency_ms: Some(f64::INFINITY), ..rule("true") },
            "max_latency_ms expected 0 or more milliseconds",
        ),
        (PolicySettings { region: Some("a b".into()), ..rule("true") }, "region expected 1 to 64 visible ASCII"),
        (split(&[("gpt", 1.0)]), "split expected names of the router's models, got `gpt`"),
        (split(&[("other", 1.0)]), "split expected names of the router's models, got `other`"),
        (split(&[("small", 0.0)]), "split expected weights above 0, got `0 for small`"),
        (split(&[("small", f64::INFINITY)]), "split expected weights above 0"),
        (split(&[("small", 1.0), ("large", 1.0)]), "split expected models that `allow` and `deny` leave, got `large`"),
    ] {
        let error = Policies::new(&[bad], &models(), &["other".to_owned()]).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Policies::new(&[rule("true"), rule("true")], &models(), &[]).is_err(), "two of one name");
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
        "tags",
        "metadata",
        " in ",
        "{",
        "}",
        "?",
        ":",
        "é",
        ".map(x, x)",
        ".exists(x, x == tenant)",
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
        if let Ok(policies) = Policies::new(&[rule(&text)], &models(), &[]) {
            policies.first(&FACTS);
        }
    }
}
