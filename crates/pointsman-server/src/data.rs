//! The data plane: what applications call, for a decision or for the answer of whom it is for.

mod batch;
mod carry;
mod choose;
mod completions;
pub(crate) mod decide;
mod feedback;
mod forwarded;
mod models;
mod order;
mod record;
mod relay;
mod route;
mod strengths;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::admins::is_cross_site;
use crate::clock;
use crate::error::Error;
use crate::live::Live;
use crate::metrics::Tenant;
use crate::ops;
use crate::state::now_us;

pub(crate) use batch::{__path_batch, BatchAnswer, BatchLine};
pub(crate) use completions::{__path_chat, __path_embeddings, __path_messages, __path_responses};
pub(crate) use feedback::__path_feedback;
pub(crate) use models::__path_models;
pub(crate) use route::__path_route;
pub(crate) use strengths::__path_explain;

/// All endpoints of the data plane, probes and its `OpenAPI` document among them.
pub(crate) fn endpoints(live: Arc<Live>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(completions::chat))
        .route("/v1/responses", post(completions::responses))
        .route("/v1/messages", post(completions::messages))
        .route("/v1/embeddings", post(completions::embeddings))
        .route("/v1/route", post(route::route))
        .route("/v1/route/batch", post(batch::batch))
        .route("/v1/feedback", post(feedback::feedback))
        .route("/v1/models", get(models::models))
        .route("/v1/routers/{version}/explain", get(strengths::explain))
        .route_layer(from_fn_with_state(Arc::clone(&live), admit))
        .route("/health", get(ops::probes::health))
        .route("/ready", get(ops::probes::ready))
        .route("/openapi.json", get(ops::openapi::data))
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .with_state(live)
}

/// Lets a request through to the endpoints above if a tenant may ask it, and says in its reply what is left of the limit.
async fn admit(State(live): State<Arc<Live>>, mut request: Request, next: Next) -> Response {
    let current = live.current();
    // Without tenants nothing is added to what a decision costs.
    if current.tenants.is_empty() {
        // Who needs no key is not told apart from a page that asks in a browser on this machine.
        if is_cross_site(request.method(), request.headers()) {
            return Error::CrossSite.into_response();
        }
        return next.run(request).await;
    }
    match current.tenants.admit(request.headers(), clock::now(), now_us) {
        Ok((admitted, place)) => {
            request.extensions_mut().insert(admitted.clone());
            request.extensions_mut().insert(Arc::clone(&current));
            let mut response = next.run(request).await;
            admitted.mark(response.headers_mut());
            response.extensions_mut().insert(Tenant(admitted.label));
            match place {
                Some(place) => place.hold(response),
                None => response,
            }
        }
        Err((error, tenant)) => {
            let mut response = error.into_response();
            if let Some(tenant) = tenant {
                live.metrics.rate_limited(&tenant.label());
                tenant.mark(response.headers_mut(), clock::now());
                response.extensions_mut().insert(Tenant(tenant.label()));
            }
            response
        }
    }
}
