//! `POST /admin/v1/policy/test`: what the rules make of a request, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::data::decide::{Form, decide, facts};
use crate::error::Error;
use crate::live::{Current, Live};
use crate::net::body;
use crate::regions::is_region;
use crate::routing::policies::Holds;
use crate::wire::headers::Hints;
use crate::wire::json::{Object, kind};
use crate::wire::query::Query;
use crate::wire::refusal::Refusal;

/// A request to be tried, and who would send it.
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
}

impl<'b> Trial<'b> {
    /// A request of nobody in particular.
    pub(crate) fn of(request: &'b RawValue) -> Self {
        Self { request, tenant: None, region: None }
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
    let bytes = body::read(request.into_body(), live.limits.max_body_bytes, live.limits.read_timeout).await?;
    let trial = read(&bytes)?;
    Ok(Json(tried(&live, &live.current(), &trial)?).into_response())
}

fn read(bytes: &[u8]) -> Result<Trial<'_>, Error> {
    const EXPECTED: &str = "an object with `request`, and perhaps `tenant` and `region`";
    let read = serde_json::from_slice::<Object<Trial<'_>>>(bytes);
    let Object(trial) = read.map_err(|source| match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if !value.is_object() => Error::invalid("body", EXPECTED, kind(&value)),
        Ok(_) => Error::invalid("body", EXPECTED, "other keys or values"),
        Err(_) => Error::InvalidJson { line: source.line(), column: source.column(), source },
    })?;
    if !trial.request.get().trim_start().starts_with('{') {
        return Err(Error::invalid("request", "an object", "another JSON value"));
    }
    if trial.region.as_ref().is_some_and(|region| !is_region(region)) {
        return Err(Error::invalid("region", "1 to 64 visible ASCII characters", "others"));
    }
    Ok(trial)
}

pub(crate) fn tried(live: &Live, current: &Current, trial: &Trial<'_>) -> Result<Answer, Error> {
    let body = trial.request.get().as_bytes();
    let denied = match &trial.tenant {
        None => Arc::default(),
        Some(tenant) => current.tenants.denied(tenant).ok_or(Error::NoTenant)?,
    };
    let own = trial.tenant.as_deref().map(|tenant| current.tenants.region(tenant)).unwrap_or_default();
    let hints = Hints {
        tenant: trial.tenant.as_deref().map(Arc::from),
        region: current.regions.of(trial.region.clone(), &own, None)?,
        denied,
        is_trial: true,
        ..Hints::default()
    };
    let refusal = |error: &Error| serde_json::to_value(error.refusal()).map_err(Error::Answer);
    let query = match Query::parse(body, live.limits.max_messages) {
        Ok(query) => query,
        Err(error) => return Ok(Answer { policy: None, rules: Vec::new(), decision: refusal(&error)? }),
    };
    let (turns, context) = (query.turns(), query.context());
    let facts = facts(&query, &hints, &turns, &context);
    let rules: Vec<RuleAnswer> = current
        .policies
        .each(&facts)
        .map(|(rule, holds)| RuleAnswer {
            name: rule.name.clone(),
            holds: holds.counts(),
            denies: rule.denied.clone(),
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
    Ok(Answer { policy, rules, decision })
}
