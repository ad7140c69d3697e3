//! The admin plane: what operators and their machines call. It has a listener of its own.

pub(crate) mod config;
pub(crate) mod decisions;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod policies;
pub(crate) mod probes;
pub(crate) mod routers;
pub(crate) mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::admins::{is_by_name, is_cross_site};
use crate::error::Error;
use crate::live::Live;

/// All endpoints of the admin plane.
pub(crate) fn endpoints(live: Arc<Live>) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::admin))
        .route("/admin/v1/decisions", get(decisions::latest))
        .route("/admin/v1/decisions/{id}", get(decisions::one))
        .route("/", get(status::page))
        .route("/admin/v1/status", get(status::status))
        .route("/admin/v1/config", get(config::config).put(config::put))
        .route("/admin/v1/config/validate", post(config::validate))
        .route("/admin/v1/config/rollback", post(config::rollback))
        .route("/admin/v1/config/versions", get(config::versions))
        .route("/admin/v1/policy/test", post(policies::test))
        .route("/admin/v1/reload", post(routers::reload))
        .route("/admin/v1/routers", get(routers::routers))
        .route("/admin/v1/routers/pin", post(routers::pin))
        .route("/admin/v1/routers/rollback", post(routers::rollback))
        .route("/admin/v1/routers/unpin", post(routers::unpin))
        .route_layer(from_fn_with_state(Arc::clone(&live), admit))
        .route("/health", get(probes::health))
        .route("/ready", get(probes::ready))
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .with_state(live)
}

/// Lets a request through to the endpoints above if it has a key of theirs. What they answer is of the moment, and
/// nothing but what it says it is.
async fn admit(State(live): State<Arc<Live>>, request: Request, next: Next) -> Response {
    let current = live.current();
    let mut response = if !current.admins.admit(request.headers()) {
        Error::NotAdmin.into_response()
    } else if current.admins.is_empty() && is_by_name(request.headers()) {
        Error::ByName.into_response()
    } else if is_cross_site(request.method(), request.headers()) {
        Error::CrossSite.into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
