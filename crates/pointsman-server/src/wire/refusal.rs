//! An error as its client sees it: status, code and the OpenAI envelope.

use axum::Json;
use axum::http::header::{ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::{Attempted, Error, UpstreamOutcome};

/// Seconds after which an overloaded server may be asked again: a decision takes microseconds.
const RETRY_SECONDS: u32 = 1;

/// An error, in the form of OpenAI's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusal {
    error: Detail,
    /// What had been decided, where the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::wire::metadata::Metadata>)]
    pointsman_metadata: Option<Box<RawValue>>,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct Detail {
    /// A sentence for people; never text of the request beyond the names it gave to models, roles and options.
    message: String,
    /// Whose mistake it is: `invalid_request_error` or `server_error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The field or header at fault.
    #[schema(value_type = Option<String>, required)]
    param: Option<String>,
    /// Stable, for programs.
    #[schema(example = "model_not_found")]
    code: &'static str,
    metadata: Metadata,
}

/// What a program needs to react.
#[derive(Debug, Serialize, ToSchema)]
struct Metadata {
    /// The kind of error, coarser than `code`.
    error_type: &'static str,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Seconds to wait before that.
    #[schema(required)]
    retry_after: Option<u32>,
    /// Whom the request asked for, in its order, where nobody could answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>)]
    requested_models: Vec<String>,
    /// The limits that left no model, where that is the error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>)]
    excluded_by: Vec<&'static str>,
    /// Targets that were tried, in order, where that is the error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<Attempt>>)]
    attempts: Vec<Attempt>,
}

/// A target that was tried.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    target: String,
    /// The status, where it answered with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>)]
    status: Option<u16>,
    /// `connect`, `address_refused`, `timeout`, `deadline`, `broken`, `malformed`, `key_refused`, `rate_limited`, `context_length`, `content`
    /// or `status`.
    cause: &'static str,
}

impl Attempt {
    pub(crate) fn new(attempted: &Attempted) -> Self {
        let Attempted { target, cause, status } = attempted;
        Self { target: target.clone(), cause, status: *status }
    }
}

struct Class {
    status: StatusCode,
    param: Option<String>,
    code: &'static str,
    error_type: &'static str,
}

/// What is said where no target answered.
fn of_targets(outcome: UpstreamOutcome) -> (StatusCode, &'static str) {
    match outcome {
        UpstreamOutcome::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "upstream_rate_limited"),
        UpstreamOutcome::CredentialsExhausted => (StatusCode::BAD_GATEWAY, "upstream_credentials_exhausted"),
        UpstreamOutcome::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        UpstreamOutcome::RegionRestricted => (StatusCode::SERVICE_UNAVAILABLE, "region_restricted"),
        UpstreamOutcome::Failed => (StatusCode::BAD_GATEWAY, "upstream_failed"),
    }
}

impl Error {
    /// The status of the reply.
    pub(crate) fn status(&self) -> StatusCode {
        self.class().status
    }

    /// Its stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.class().code
    }

    fn class(&self) -> Class {
        let invalid = |param: Option<&str>, code| Class {
            status: StatusCode::BAD_REQUEST,
            param: param.map(str::to_owned),
            code,
            error_type: "invalid_request",
        };
        let other = |status, code| Class { status, param: None, code, error_type: code };
        match self {
            Self::Asking { error, .. } => error.class(),
            Self::InvalidJson { .. } | Self::NotUtf8 { .. } => invalid(None, "invalid_json"),
            Self::InvalidRequest { param, .. } => {
                invalid(Some(param.as_ref()).filter(|param| *param != "body"), "invalid_request")
            }
            Self::Contradiction { param, .. } => invalid(Some(param), "invalid_request"),
            Self::AlmostModel { name } => invalid(Some(name), "unknown_key"),
            Self::UnknownOption { key, .. } => invalid(Some(&format!("pointsman.{key}")), "unknown_key"),
            Self::BadMessages(_) => invalid(Some("messages"), "invalid_request"),
            Self::BodyIncomplete(_) => invalid(None, "invalid_request"),
            Self::LineTooLong { .. } => invalid(None, "line_too_long"),
            Self::ModelNotFound { param, .. } | Self::NoLatency { param } => invalid(Some(param), "model_not_found"),
            Self::NoTarget { is_regional: true, .. } => other(StatusCode::SERVICE_UNAVAILABLE, "region_restricted"),
            Self::NoCandidate { .. } | Self::EmptyPool | Self::NoTarget { .. } => {
                Class { error_type: "not_found", ..other(StatusCode::NOT_FOUND, "constraint_filtered") }
            }
            Self::Unauthorized | Self::KeyExpired => other(StatusCode::UNAUTHORIZED, "invalid_api_key"),
            Self::NotAdmin => other(StatusCode::UNAUTHORIZED, "invalid_admin_key"),
            Self::CrossSite | Self::ByName => other(StatusCode::FORBIDDEN, "cross_site"),
            Self::RateLimited { .. } => other(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Self::RegionDenied => Class {
                param: Some("x-pointsman-region".to_owned()),
                ..other(StatusCode::FORBIDDEN, "region_restricted")
            },
            Self::TenantBusy { .. } => other(StatusCode::TOO_MANY_REQUESTS, "too_many_at_a_time"),
            Self::PolicyRefused { .. } => other(StatusCode::FORBIDDEN, "policy_refused"),
            Self::BudgetExceeded { .. } => other(StatusCode::PAYMENT_REQUIRED, "budget_exceeded"),
            Self::NoTargets => other(StatusCode::NOT_FOUND, "no_targets"),
            Self::NoTenant => Class {
                param: Some("tenant".to_owned()),
                error_type: "not_found",
                ..other(StatusCode::NOT_FOUND, "tenant_not_found")
            },
            Self::NoState => other(StatusCode::NOT_FOUND, "no_state"),
            Self::NoDecision { .. } => Class {
                param: Some("decision_id".to_owned()),
                error_type: "not_found",
                ..other(StatusCode::NOT_FOUND, "decision_not_found")
            },
            Self::KeyReused => Class {
                param: Some("idempotency-key".to_owned()),
                ..other(StatusCode::CONFLICT, "idempotency_key_reused")
            },
            Self::NoPredictions => other(StatusCode::SERVICE_UNAVAILABLE, "router_unavailable"),
            Self::StateBusy => other(StatusCode::SERVICE_UNAVAILABLE, "state_busy"),
            Self::Upstream { outcome, .. } => {
                let (status, code) = of_targets(*outcome);
                other(status, code)
            }
            Self::NoConfigFile => other(StatusCode::NOT_FOUND, "no_config_file"),
            Self::ConfigRead { .. } => other(StatusCode::CONFLICT, "config_file_unreadable"),
            Self::ConfigWrite { .. } => other(StatusCode::CONFLICT, "config_file_not_writable"),
            Self::ConfigRefused(_) => other(StatusCode::UNPROCESSABLE_ENTITY, "invalid_config"),
            Self::OtherForm { .. } => other(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_form"),
            Self::PreconditionRequired => other(StatusCode::PRECONDITION_REQUIRED, "precondition_required"),
            Self::PreconditionFailed { .. } => other(StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::NoRouterVersion { .. } => Class {
                param: Some("version".to_owned()),
                error_type: "not_found",
                ..other(StatusCode::NOT_FOUND, "router_not_found")
            },
            Self::NothingBefore { .. } => other(StatusCode::CONFLICT, "nothing_to_roll_back"),
            Self::NotFound => other(StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => other(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::UnsupportedEncoding => other(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            Self::HeadersTooLarge { .. } => other(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::BodyTooLarge { .. } => other(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTimeout { .. } => other(StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::Overloaded { .. } | Self::NoRoom { .. } => other(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Draining => other(StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            Self::Router(_)
            | Self::State(_)
            | Self::Traces(_)
            | Self::NoRouter
            | Self::WrongArtifact { .. }
            | Self::NotSigned { .. }
            | Self::Config { .. }
            | Self::Alias { .. }
            | Self::BadTenant { .. }
            | Self::BadPolicy { .. }
            | Self::BadSetting { .. }
            | Self::BadTarget { .. }
            | Self::Certificates(_)
            | Self::Listen { .. }
            | Self::OpenAdmin { .. }
            | Self::ReloadLost
            | Self::Answer(_)
            | Self::Panicked => other(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// The envelope. Where the mistake is ours, the cause goes to the log and not to the client.
    pub(crate) fn refusal(&self) -> Refusal {
        if let Self::Asking { models, error } = self {
            let mut refusal = error.refusal();
            refusal.error.metadata.requested_models.clone_from(models);
            return refusal;
        }
        let Class { status, param, code, error_type } = self.class();
        let (message, kind) = if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(cause = self.chain(), "a request met a mistake of the server");
            ("the server made a mistake".into(), "server_error")
        } else if status.is_server_error() {
            (self.to_string(), "server_error")
        } else if matches!(self, Self::ConfigRead { .. } | Self::ConfigWrite { .. } | Self::ConfigRefused(_)) {
            // It is the operator who asks, and is told what a command line would say.
            let advice = self.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            (self.chain() + &advice, "invalid_request_error")
        } else {
            (self.to_string(), "invalid_request_error")
        };
        let (excluded_by, attempts, wait) = match self {
            Self::NoCandidate { excluded_by } | Self::NoTarget { excluded_by, .. } => {
                (excluded_by.clone(), Vec::new(), None)
            }
            Self::Upstream { attempts, retry_after, .. } => {
                (Vec::new(), attempts.iter().map(Attempt::new).collect(), *retry_after)
            }
            Self::RateLimited { retry_after } | Self::BudgetExceeded { retry_after } => {
                (Vec::new(), Vec::new(), Some(*retry_after))
            }
            _ => (Vec::new(), Vec::new(), None),
        };
        let busy = matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYMENT_REQUIRED
        );
        let retry_after = busy.then_some(wait.unwrap_or(RETRY_SECONDS));
        let retryable = busy
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
                && code != "upstream_credentials_exhausted";
        let requested_models = Vec::new();
        let metadata = Metadata { error_type, retryable, retry_after, requested_models, excluded_by, attempts };
        Refusal { error: Detail { message, kind, param, code, metadata }, pointsman_metadata: None }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.reply(None)
    }
}

impl Error {
    /// The reply, with what had been decided by then, where the request asks for it.
    pub(crate) fn reply(self, pointsman_metadata: Option<Box<RawValue>>) -> Response {
        let refusal = Refusal { pointsman_metadata, ..self.refusal() };
        let etag = match &self {
            Self::PreconditionFailed { etag } => HeaderValue::try_from(format!("\"{etag}\"")).ok(),
            _ => None,
        };
        let retry_after = refusal.error.metadata.retry_after;
        let mut response = (self.status(), Json(refusal)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(etag) = etag {
            response.headers_mut().insert(ETAG, etag);
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            if matches!(self, Self::NotAdmin) {
                // Browsers ask for a password, so that people can open the page.
                response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"pointsman\""));
            }
        }
        response
    }
}
