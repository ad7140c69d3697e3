//! `POST /admin/v1/policy/test`: what the rules make of a request, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use pointsman::Objective;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::data::decide::{Form, decide, facts, read};
use crate::error::Error;
use crate::live::{Current, Live};
use crate::moment::moment;
use crate::nearest::nearest;
use crate::net::body;
use crate::regions::is_region;
use crate::routing::policies::{Holds, Rule};
use crate::wire::headers::{ClientHeaders, Hints, TAGS_EXPECTED, are_tags};
use crate::wire::json::{Object, kind};
use crate::wire::refusal::Refusal;

/// Keys of a trial, and the form of each.
const KEYS: [(&str, &str); 7] = [
    ("request", "an object"),
    ("tenant", "a string"),
    ("region", "a string"),
    ("tags", "an array of strings"),
    ("user_agent", "a string"),
    ("locale", "a string"),
    ("time", "a string"),
];

/// Longest header of a trial.
const LONGEST_HEADER: usize = 1024;

/// A request to be tried, who would send it, and when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyTest)]
pub(crate) struct Trial<'b> {
    /// The body of a chat completion, or of `/v1/route`.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    request: &'b RawValue,
    /// A tenant's name.
    tenant: Option<String>,
    /// As in `x-pointsman-region`.
    #[schema(max_length = 64, pattern = "^[!-~]{1,64}$")]
    region: Option<String>,
    /// As in `x-pointsman-tags`, one by one.
    #[schema(value_type = Option<Vec<Tag>>, min_items = 1, max_items = 32)]
    tags: Option<Vec<String>>,
    /// As in `user-agent`.
    #[schema(max_length = 1024, pattern = "^[ -~]*$")]
    user_agent: Option<String>,
    /// As in `accept-language`.
    #[schema(max_length = 1024, pattern = "^[ -~]*$")]
    locale: Option<String>,
    /// The moment of the request, in RFC 3339. Default: now.
    #[schema(format = DateTime, example = "2027-01-31T09:30:00Z")]
    time: Option<String>,
}

/// A word of the caller's own.
#[derive(ToSchema)]
#[schema(as = Tag, max_length = 64, pattern = "^[!-+\\--~]{1,64}$")]
#[expect(dead_code, reason = "the form of a tag for the OpenAPI document")]
struct Tag(String);

impl<'b> Trial<'b> {
    /// A request of nobody in particular.
    pub(crate) fn of(request: &'b RawValue) -> Self {
        Self { request, tenant: None, region: None, tags: None, user_agent: None, locale: None, time: None }
    }
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyAnswer)]
pub(crate) struct Answer {
    /// The rule that counts; null where none holds.
    #[schema(required)]
    policy: Option<String>,
    /// All of them, in order.
    rules: Vec<RuleAnswer>,
    /// What conditions saw, as far as one of them asks for it.
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The answer of `/v1/route`, or the refusal. Nothing of it is counted or kept.
    #[schema(value_type = Object)]
    decision: Value,
}

/// What one rule makes of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleAnswer {
    name: String,
    /// Whether it counts as holding.
    holds: bool,
    /// Why its condition could not be evaluated, where that is so.
    #[schema(required)]
    error: Option<String>,
    /// Models that it takes away.
    denies: Vec<String>,
    /// What else it says: `objective`, `max_cost_usd`, `min_quality`, `max_latency_ms`, `region`, `split`, `refuse`.
    #[schema(value_type = Object)]
    sets: Map<String, Value>,
}

#[utoipa::path(
    post, path = "/admin/v1/policy/test", tag = "operations", operation_id = "policy_test",
    summary = "What the rules make of a request, and why",
    request_body(content = Trial<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "Every rule, the one that counts, and the decision", body = Answer),
        (status = 400, description = "The request is not valid", body = Refusal),
        (status = 404, description = "There is no such tenant", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 413, description = "The body is too long", body = Refusal),
    )
)]
pub(crate) async fn test(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    let bytes = body::read_freely(request.into_body(), &live).await?;
    let trial = Trial::read(&bytes)?;
    Ok(Json(tried(&live, &live.current(), &trial)?).into_response())
}

impl<'b> Trial<'b> {
    /// Reads the body.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, Error> {
        let read = serde_json::from_slice::<Object<Self>>(bytes);
        let Object(trial) = read.map_err(|source| match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => explain(&value),
            Err(_) => Error::InvalidJson { line: source.line(), column: source.column(), source },
        })?;
        let is_header = |text: &String| text.len() <= LONGEST_HEADER && HeaderValue::from_str(text).is_ok();
        let header = "at most 1024 visible ASCII characters and blanks";
        for (param, holds, expected) in [
            ("request", trial.request.get().trim_start().starts_with('{'), "an object"),
            ("region", trial.region.as_deref().is_none_or(is_region), "1 to 64 visible ASCII characters"),
            ("tags", trial.tags.as_deref().is_none_or(are_tags), TAGS_EXPECTED),
            ("user_agent", trial.user_agent.as_ref().is_none_or(is_header), header),
            ("locale", trial.locale.as_ref().is_none_or(is_header), header),
            (
                "time",
                trial.time.as_deref().is_none_or(|time| moment(time).is_some()),
                "a moment in RFC 3339, with its zone, such as 2027-01-31T09:30:00Z",
            ),
        ] {
            if !holds {
                return Err(Error::invalid(param, expected, "another value"));
            }
        }
        Ok(trial)
    }

    /// What headers would have said, and the tenant's key.
    fn hints(&self, current: &Current) -> Result<Hints, Error> {
        let tenant = self.tenant.as_deref();
        let denied = tenant.map_or_else(|| Some(Arc::default()), |tenant| current.tenants.denied(tenant));
        let own = tenant.map(|tenant| current.tenants.region(tenant)).unwrap_or_default();
        let mut headers = HeaderMap::new();
        for (name, text) in [(USER_AGENT, &self.user_agent), (ACCEPT_LANGUAGE, &self.locale)] {
            headers.extend(text.as_deref().and_then(|text| Some((name, HeaderValue::from_str(text).ok()?))));
        }
        Ok(Hints {
            tenant: tenant.map(Arc::from),
            region: current.regions.of(self.region.clone(), &own, None)?,
            denied: denied.ok_or(Error::NoTenant)?,
            tenants_objective: tenant.and_then(|tenant| current.tenants.objective(tenant)).cloned(),
            budget: tenant.and_then(|tenant| current.tenants.budget(tenant)),
            tags: self.tags.clone().unwrap_or_default(),
            at_us: self.time.as_deref().and_then(moment),
            client: ClientHeaders(headers),
            is_trial: true,
            ..Hints::default()
        })
    }
}

/// What is wrong with a body that is JSON.
fn explain(value: &Value) -> Error {
    let expected = || format!("an object with {}", KEYS.map(|(key, _)| key).join(", "));
    let Some(object) = value.as_object() else { return Error::invalid("body", expected(), kind(value)) };
    for (key, given) in object {
        let Some((param, form)) = KEYS.iter().find(|(known, _)| known == key) else {
            let near = nearest(key, &KEYS.map(|(key, _)| key)).map_or_else(expected, |near| format!("`{near}`"));
            return Error::invalid(
                "body",
                near,
                format!("the unknown key `{}`", key.chars().take(40).collect::<String>()),
            );
        };
        let fits = match *param {
            "request" => given.is_object(),
            "tags" => given.is_null() || given.as_array().is_some_and(|tags| tags.iter().all(Value::is_string)),
            _ => given.is_null() || given.is_string(),
        };
        if !fits {
            let got = if *form == "an array of strings" && given.is_array() {
                "an array of other values"
            } else {
                kind(given)
            };
            return Error::invalid(*param, *form, got);
        }
    }
    if object.contains_key("request") {
        return Error::invalid("body", "every key at most once", "one twice");
    }
    Error::invalid("request", "an object", "none")
}

/// What a rule says beside the models that it takes away.
fn sets(rule: &Rule) -> Map<String, Value> {
    let objective = rule.objective.as_ref().map(|objective| match objective {
        Objective::Lambda(lambda) => json!(lambda),
        named => json!(named),
    });
    let split = rule.split.as_ref().map(|split| json!(split.weights().collect::<BTreeMap<_, _>>()));
    let all = [
        ("objective", objective),
        ("max_cost_usd", rule.limits.max_cost_usd.map(Value::from)),
        ("min_quality", rule.limits.min_quality.map(Value::from)),
        ("max_latency_ms", rule.limits.max_latency_ms.map(Value::from)),
        ("region", rule.region.as_deref().map(Value::from)),
        ("split", split),
        ("refuse", rule.refuse.as_deref().map(Value::from)),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

pub(crate) fn tried(live: &Live, current: &Current, trial: &Trial<'_>) -> Result<Answer, Error> {
    let body = trial.request.get().as_bytes();
    let hints = trial.hints(current)?;
    let refusal = |error: &Error| serde_json::to_value(error.refusal()).map_err(Error::Answer);
    let query = match read(live, current, body) {
        Ok(query) => query,
        Err(error) => {
            let (rules, variables) = (Vec::new(), Map::new());
            return Ok(Answer { policy: None, rules, variables, decision: refusal(&error)? });
        }
    };
    let (turns, context) = (query.turns(), query.context());
    let facts = facts(current, &query, &hints, &turns, &context);
    let rules: Vec<RuleAnswer> = current
        .policies
        .each(&facts)
        .map(|(rule, holds)| RuleAnswer {
            name: rule.name.clone(),
            holds: holds.counts(),
            denies: rule.denied.clone(),
            sets: sets(rule),
            error: match holds {
                Holds::Broken { why, .. } => Some(why),
                Holds::Yes | Holds::No => None,
            },
        })
        .collect();
    let mut json = Vec::new();
    let decision = match decide(live, current, &hints, body, Form::Single, &mut json) {
        Ok(_) => serde_json::from_slice(&json).map_err(Error::Answer)?,
        Err(error) => refusal(&error)?,
    };
    let policy = rules.iter().find(|rule| rule.holds).map(|rule| rule.name.clone());
    Ok(Answer { policy, rules, variables: facts.told(current.policies.asked()), decision })
}
