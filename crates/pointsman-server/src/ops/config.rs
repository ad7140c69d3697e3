//! `/admin/v1/config`: the configuration's text, shown, checked, replaced and taken back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::form::Form;
use crate::error::Error;
use crate::live::changes::{Matches, Taken};
use crate::live::texts::{Origin, tag};
use crate::live::{Current, Live};
use crate::net::body;
use crate::wire::headers::CONFIG_VERSION;
use crate::wire::refusal::Refusal;

/// A configuration that would be taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigTrial)]
pub(crate) struct Trial {
    /// Always true.
    valid: bool,
    /// `sha256:` and the identity of the artifact that would decide.
    router_version: String,
    /// Keys that it changes at once, as `section.key`, or `section` where that is a list.
    at_once: Vec<String>,
    /// Keys that wait for the next start; a flag of the command line still goes before them.
    at_start: Vec<String>,
}

/// A configuration that is in use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigTaken)]
pub(crate) struct Answer {
    /// Always `applied`.
    result: &'static str,
    /// `sha256:` and the identity of the artifact that decides.
    router_version: String,
    /// The number of this configuration.
    config_version: u64,
    /// For the `if-match` of the next change.
    etag: String,
    /// Keys that changed at once.
    at_once: Vec<String>,
    /// Keys that wait for the next start.
    at_start: Vec<String>,
}

/// Configurations that were in use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigVersions)]
pub(crate) struct Versions<'a> {
    /// The last one first, 16 at most; none where the service was started without a file.
    #[schema(value_type = Vec<Used<'static>>)]
    versions: Vec<Used<'a>>,
}

/// A configuration that was in use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigVersion)]
struct Used<'a> {
    /// The first one of this text, as in `x-pointsman-config-version`.
    version: u64,
    /// SHA-256 of the text.
    etag: &'a str,
    /// When it came into use, in microseconds since 1970.
    at_us: i64,
    /// How it came into use.
    from: Origin,
    /// Whether it is in use.
    active: bool,
}

#[utoipa::path(
    get, path = "/admin/v1/config", tag = "operations", operation_id = "config",
    summary = "The configuration file's text of this moment",
    responses(
        (status = 200, description = "The text, in the form of its file; secrets are in it by name or digest alone",
            content((String = "application/toml"), (String = "application/yaml")),
            headers(
                ("etag" = String, description = "SHA-256 of the text, for `if-match`"),
                ("x-pointsman-config-version" = u64, description = "Number of the configuration in use"),
            )),
        (status = 404, description = "The service was started without a file", body = Refusal),
        (status = 409, description = "The file cannot be read", body = Refusal),
    )
)]
pub(crate) async fn config(State(live): State<Arc<Live>>) -> Result<Response, Error> {
    let current = live.current();
    let form = live.source.file()?.form();
    let reading = tokio::task::spawn_blocking(move || live.source.file()?.read());
    let text = reading.await.unwrap_or(Err(Error::ReloadLost))?;
    let headers = marked(&current, &tag(&text));
    Ok((headers, [(CONTENT_TYPE, form.media_type())], text).into_response())
}

#[utoipa::path(
    post, path = "/admin/v1/config/validate", tag = "operations", operation_id = "config_validate",
    summary = "Whether a configuration would be taken, and what it would change; nothing is changed",
    request_body(
        description = "In the form of the file",
        content((String = "application/toml"), (String = "application/yaml"))
    ),
    responses(
        (status = 200, description = "It would be taken", body = Trial),
        (status = 400, description = "The text is not UTF-8", body = Refusal),
        (status = 404, description = "The service was started without a file", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 413, description = "The body is too long", body = Refusal),
        (status = 415, description = "The body is in the other form than the file", body = Refusal),
        (status = 422, description = "It would be refused: where and why", body = Refusal),
    )
)]
pub(crate) async fn validate(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    let text = read(&live, request).await?;
    let (router_version, changes) = live.try_config(text).await?;
    let (at_once, at_start) = (changes.at_once, changes.at_start);
    Ok(Json(Trial { valid: true, router_version, at_once, at_start }).into_response())
}

#[utoipa::path(
    put, path = "/admin/v1/config", tag = "operations", operation_id = "config_put",
    summary = "Replace the configuration file's text, and use it",
    params(("if-match" = String, Header, description = "The ETag of the text that is replaced")),
    request_body(
        description = "In the form of the file",
        content((String = "application/toml"), (String = "application/yaml"))
    ),
    responses(
        (status = 200, description = "It is on file and in use", body = Answer,
            headers(("etag" = String, description = "Of the new text"))),
        (status = 400, description = "The text is not UTF-8", body = Refusal),
        (status = 404, description = "The service was started without a file", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 409, description = "The file cannot be read or written", body = Refusal),
        (status = 412, description = "The file holds another text by now", body = Refusal,
            headers(("etag" = String, description = "Of that text"))),
        (status = 413, description = "The body is too long", body = Refusal),
        (status = 415, description = "The body is in the other form than the file", body = Refusal),
        (status = 422, description = "It cannot be used; nothing was changed", body = Refusal),
        (status = 428, description = "There is no `if-match`", body = Refusal),
    )
)]
pub(crate) async fn put(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    live.source.file()?;
    let matches = if_match(request.headers())?;
    let text = read(&live, request).await?;
    Ok(taken(live.configure(text, matches).await?))
}

#[utoipa::path(
    post, path = "/admin/v1/config/rollback", tag = "operations", operation_id = "config_rollback",
    summary = "Go back to the configuration before the one in use",
    params(("if-match" = String, Header, description = "The ETag of the text that is replaced")),
    responses(
        (status = 200, description = "It is on file and in use", body = Answer,
            headers(("etag" = String, description = "Of the text gone back to"))),
        (status = 404, description = "The service was started without a file", body = Refusal),
        (status = 409, description = "No text before it is remembered, or the file cannot be written", body = Refusal),
        (status = 412, description = "The file holds another text by now", body = Refusal,
            headers(("etag" = String, description = "Of that text"))),
        (status = 422, description = "It cannot be used any more; nothing was changed", body = Refusal),
        (status = 428, description = "There is no `if-match`", body = Refusal),
    )
)]
pub(crate) async fn rollback(State(live): State<Arc<Live>>, headers: HeaderMap) -> Result<Response, Error> {
    live.source.file()?;
    Ok(taken(live.unconfigure(if_match(&headers)?).await?))
}

#[utoipa::path(
    get, path = "/admin/v1/config/versions", tag = "operations", operation_id = "config_versions",
    summary = "The configurations that were in use",
    responses((status = 200, description = "The last one first", body = Versions<'static>))
)]
pub(crate) async fn versions(State(live): State<Arc<Live>>) -> Response {
    let current = live.current();
    let active = current.texts.active().map(|text| text.version);
    let versions = current.texts.iter().rev().map(|text| Used {
        version: text.version,
        etag: &text.etag,
        at_us: text.at_us,
        from: text.from,
        active: active == Some(text.version),
    });
    Json(Versions { versions: versions.collect() }).into_response()
}

/// The body as text, within the limits of any other. One that says to be of the other form than the file is not read; what
/// says nothing of it is taken for what it has to be.
async fn read(live: &Live, request: Request) -> Result<String, Error> {
    if let Ok(file) = live.source.file() {
        let (expected, said) = (file.form(), request.headers().get(CONTENT_TYPE));
        let said = said.and_then(|value| value.to_str().ok()).and_then(Form::named);
        if said.is_some_and(|said| said != expected) {
            return Err(Error::OtherForm { expected: expected.media_type() });
        }
    }
    let bytes = body::read_freely(request.into_body(), live).await?;
    String::from_utf8(bytes).map_err(|error| Error::NotUtf8 { offset: error.utf8_error().valid_up_to() })
}

/// Compares strongly, as RFC 9110 asks for; a tag may also stand there without quotes, as the JSON here has it.
fn if_match(headers: &HeaderMap) -> Result<Matches, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all(IF_MATCH) {
        let value = value.to_str().unwrap_or("?").split(',').map(str::trim);
        tags.extend(value.filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
    if tags.is_empty() {
        return Err(Error::PreconditionRequired);
    }
    Ok(Box::new(move |etag| {
        let quoted = |tag: &str| tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(etag);
        tags.iter().any(|tag| tag == "*" || tag == etag || quoted(tag))
    }))
}

fn taken(taken: Taken) -> Response {
    let Taken { current, etag, changes } = taken;
    let headers = marked(&current, &etag);
    let answer = Answer {
        result: "applied",
        router_version: current.snapshot.version().to_owned(),
        config_version: current.snapshot.config_version(),
        etag,
        at_once: changes.at_once,
        at_start: changes.at_start,
    };
    (headers, Json(answer)).into_response()
}

fn marked(current: &Current, etag: &str) -> HeaderMap {
    let etag = HeaderValue::try_from(format!("\"{etag}\"")).expect("hexadecimal digits are a valid value");
    HeaderMap::from_iter([(ETAG, etag), (CONFIG_VERSION, current.snapshot.config_version().into())])
}
