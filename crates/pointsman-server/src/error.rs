//! Everything that can go wrong, at the start and in a request. What a client is told of it: `wire::refusal`.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::routing::snapshot::AUTO;
use crate::targets::wish::barred;

/// Names that an error repeats.
const MOST_REPEATED: usize = 32;

/// What this crate reports. The first variants end the server's start or a reload; a client sees the others, as an
/// OpenAI error envelope with a stable code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The router cannot be used, or cannot be bound to the objective.
    #[error("the router cannot be served")]
    Router(#[from] pointsman::Error),
    /// State cannot be kept.
    #[error("state cannot be kept")]
    State(#[from] pointsman_ledger::Error),
    /// Traces cannot be exported.
    #[error("traces cannot be exported")]
    Traces(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Neither flag nor configuration names the artifact's file.
    #[error("router: expected the path of an artifact, got none")]
    NoRouter,
    /// The configuration file cannot be read.
    #[error("configuration `{}`: cannot be read", path.display())]
    ConfigRead {
        /// The file.
        path: PathBuf,
        /// The operating system's word on it.
        source: std::io::Error,
    },
    /// The configuration file cannot be replaced.
    #[error("configuration `{}`: cannot be replaced", path.display())]
    ConfigWrite {
        /// The file.
        path: PathBuf,
        /// The operating system's word on it.
        source: std::io::Error,
    },
    /// The configuration file is not valid.
    #[error("configuration `{}`, line {line}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The artifact's file is another one than the configuration says.
    #[error("artifact `{}`: expected sha256:{expected}, got sha256:{got}", path.display())]
    WrongArtifact {
        /// The file.
        path: PathBuf,
        /// The identity that is asked for.
        expected: String,
        /// Its own.
        got: String,
    },
    /// The artifact's file is not signed as the configuration asks for.
    #[error("artifact `{}`: expected a signature of `router.minisign_key` in `{}`: {why}", path.display(), signature.display())]
    NotSigned {
        /// The file.
        path: PathBuf,
        /// Where its signature should be.
        signature: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A setting is outside its domain.
    #[error("settings: `{field}` expected {expected}, got {got}")]
    BadSetting {
        /// The setting.
        field: &'static str,
        /// Its domain.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// A target is not valid.
    #[error("target `{target}`: {field} expected {expected}, got `{got}`")]
    BadTarget {
        /// Its name.
        target: String,
        /// The key.
        field: &'static str,
        /// Its domain.
        expected: &'static str,
        /// The value given, shortened.
        got: String,
    },
    /// The system's certificates cannot be read.
    #[error("certificates: the system's cannot be read, and a target is reached by https")]
    Certificates(#[source] std::io::Error),
    /// The address cannot be listened on.
    #[error("listen: `{address}` cannot be bound")]
    Listen {
        /// The address given.
        address: String,
        /// The operating system's word on it.
        source: std::io::Error,
    },
    /// The admin plane would be open to everybody.
    #[error("admin_listen: `{address}` is open to other machines, and no key is asked for there")]
    OpenAdmin {
        /// The address given.
        address: String,
    },
    /// A reload did not come to an end: our mistake.
    #[error("the reload did not come to an end")]
    ReloadLost,

    /// The body is not JSON, or nested too deeply.
    #[error("body: expected JSON, at most 127 levels deep; it stops being that at line {line}, column {column}")]
    InvalidJson {
        /// Line of the body, from 1.
        line: usize,
        /// Column of that line, in bytes.
        column: usize,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// The body is not UTF-8.
    #[error("body: expected UTF-8; it stops being that at byte {offset}")]
    NotUtf8 {
        /// Bytes before the first wrong one.
        offset: usize,
    },
    /// A field of the body, or a header, has a form that cannot be used.
    #[error("{param}: expected {expected}, got {got}")]
    InvalidRequest {
        /// The field, or `body`.
        param: Cow<'static, str>,
        /// The form it should have.
        expected: Cow<'static, str>,
        /// The form it has; never its content.
        got: Cow<'static, str>,
    },
    /// A field that some servers would read as `model`.
    #[error("`{name}` is not `model`, but some servers read it so; write `model`, or leave it out")]
    AlmostModel {
        /// The field.
        name: String,
    },
    /// One of our own options does not exist.
    #[error(
        "pointsman: unknown key `{key}`{}",
        nearest.map_or_else(|| format!(", expected {known}"), |near| format!("; did you mean `{near}`?"))
    )]
    UnknownOption {
        /// The key, shortened.
        key: String,
        /// The nearest that exists.
        nearest: Option<&'static str>,
        /// All that exist.
        known: String,
    },
    /// Two fields contradict each other.
    #[error("{param}: not together with {other}")]
    Contradiction {
        /// One field.
        param: &'static str,
        /// The other, with its value where that matters.
        other: &'static str,
    },
    /// A tenant of the configuration is not valid.
    #[error("tenant `{tenant}`: {field} expected {expected}, got `{got}`")]
    BadTenant {
        /// Its name.
        tenant: String,
        /// The key in the configuration.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// The request has no key that anybody knows.
    #[error("authorization: expected a key of this server as a bearer token")]
    Unauthorized,
    /// The request has a key that has expired.
    #[error("authorization: this key has expired; ask the operator for another one")]
    KeyExpired,
    /// A request of the admin plane has none of its keys.
    #[error("authorization: expected a key of the admin plane, as a bearer token or as the password of any user")]
    NotAdmin,
    /// A page from elsewhere asks for a change.
    #[error("origin: a page from elsewhere changes nothing here")]
    CrossSite,
    /// A plane without keys was asked by a name.
    #[error(
        "host: without an admin key this plane is asked by `localhost` or an address, for any page can take another name"
    )]
    ByName,
    /// Something needs predictions, and there are none.
    #[error("the router cannot predict now: its artifact cannot be used, and what is asked needs predictions")]
    NoPredictions,
    /// The tenant asked more often than it may.
    #[error("too many requests: the next one is taken in {retry_after} s")]
    RateLimited {
        /// Seconds.
        retry_after: u32,
    },
    /// The tenant has as many requests under way as it may.
    #[error(
        "busy: {limit} {} of this tenant {} being answered, as many as it may have at a time",
        if *limit == 1 { "request" } else { "requests" },
        if *limit == 1 { "is" } else { "are" }
    )]
    TenantBusy {
        /// The limit.
        limit: usize,
    },
    /// The tenant's budget for today is spent.
    #[error("budget: what may be spent today is spent; the next day begins in {retry_after} s")]
    BudgetExceeded {
        /// Seconds.
        retry_after: u32,
    },
    /// A policy of the configuration is not valid.
    #[error("policy `{policy}`: {field} expected {expected}, got `{got}`")]
    BadPolicy {
        /// Its name.
        policy: String,
        /// The key in the configuration.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is, shortened.
        got: String,
    },
    /// A policy refuses the request.
    #[error("policy `{policy}`: {message}")]
    PolicyRefused {
        /// Its name.
        policy: String,
        /// The operator's sentence.
        message: String,
    },
    /// An alias of the configuration stands for nothing.
    #[error("alias `{name}`: expected {expected}, got `{got}`")]
    Alias {
        /// The alias.
        name: String,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// The messages are no conversation.
    #[error(transparent)]
    BadMessages(pointsman::Error),
    /// No model and no alias has this name.
    #[error("{param}: `{model}` does not exist; GET /v1/models lists those that do")]
    ModelNotFound {
        /// Where it was named.
        param: &'static str,
        /// The name, shortened.
        model: String,
    },
    /// The router was trained without latencies.
    #[error("{param}: `fast` needs latencies, which this router was trained without")]
    NoLatency {
        /// Where it was asked for.
        param: &'static str,
    },
    /// No model keeps within what the request demands.
    #[error("no model keeps within the limits of the request: {}", excluded_by.join(", "))]
    NoCandidate {
        /// The limits that excluded models.
        excluded_by: Vec<&'static str>,
    },
    /// Lists of models left none; the shell says whose lists.
    #[error("no model is left")]
    EmptyPool,
    /// No target is configured.
    #[error("no target is configured: this server decides where to send requests, and sends none")]
    NoTargets,
    /// None of the models that may answer has a target that this request may reach.
    #[error("{}", target_message(excluded_by))]
    NoTarget {
        /// What keeps it from those that there are; `targets` where there is none.
        excluded_by: Vec<&'static str>,
        /// Whether those that there are could answer it, were they elsewhere.
        is_regional: bool,
    },
    /// Every target that could be tried failed.
    #[error("{}", upstream_message(*outcome))]
    Upstream {
        /// What it comes to.
        outcome: UpstreamOutcome,
        /// Every attempt, in order.
        attempts: Vec<Attempted>,
        /// Seconds after which a target wants to be asked again.
        retry_after: Option<u32>,
    },
    /// Nobody could answer, and who was asked for.
    #[error("{error}")]
    Asking {
        /// Names of models, or `auto`, in the request's order and shortened.
        models: Vec<String>,
        /// Why nobody could.
        error: Box<Self>,
    },
    /// Feedback, where no state is kept.
    #[error("no state is kept here: decisions are not remembered, and feedback is not taken")]
    NoState,
    /// A decision that is not there, or is another tenant's.
    #[error("decision `{id}` is not known here")]
    NoDecision {
        /// The identifier, shortened.
        id: String,
    },
    /// A tenant that is not configured.
    #[error("tenant: no tenant has this name")]
    NoTenant,
    /// An idempotency key that was used for something else.
    #[error("idempotency-key: was used for other feedback")]
    KeyReused,
    /// More is asked of the ledger than it can take.
    #[error("busy: the ledger has more to write than it can")]
    StateBusy,
    /// A configuration is asked for, where there is no file.
    #[error(
        "no configuration file: this service was started without one; start it with `--config FILE` to show and change it here"
    )]
    NoConfigFile,
    /// A configuration of the admin plane that cannot be used.
    #[error("the configuration cannot be used")]
    ConfigRefused(#[source] Box<Self>),
    /// A configuration is given in another form than its file has.
    #[error("content-type: expected {expected}, the form of the configuration's file")]
    OtherForm {
        /// The media type of the file's form.
        expected: &'static str,
    },
    /// A configuration is to be replaced, whichever it is.
    #[error("if-match: expected the ETag that GET /admin/v1/config gave, got none")]
    PreconditionRequired,
    /// A configuration is to be replaced that is not there any more.
    #[error("if-match: the configuration is another one by now, see the header `etag`")]
    PreconditionFailed {
        /// The present one's.
        etag: String,
    },
    /// An artifact that is not remembered.
    #[error(
        "version: `{version}` does not decide here and is not remembered; GET /admin/v1/routers lists those that are"
    )]
    NoRouterVersion {
        /// The version, shortened.
        version: String,
    },
    /// There is nothing to go back to.
    #[error("nothing to go back to: no {what} before the one in use is remembered")]
    NothingBefore {
        /// What was to be gone back to.
        what: &'static str,
    },
    /// The request names a region that its tenant may not leave its own for.
    #[error("x-pointsman-region: expected the tenant's own region, which it has to stay in, got another one")]
    RegionDenied,
    /// No endpoint has this path.
    #[error("path: no such endpoint here; `/openapi.json` lists them, and metrics are on the admin listener")]
    NotFound,
    /// The endpoint does not take this method.
    #[error("method: not one that this endpoint takes, see the header `allow`")]
    MethodNotAllowed,
    /// The body is compressed.
    #[error("content-encoding: expected identity")]
    UnsupportedEncoding,
    /// The headers are too long.
    #[error("headers: expected at most {limit} bytes with the request line")]
    HeadersTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body is too long.
    #[error("body: expected at most {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A line of a batch is too long.
    #[error("line: expected at most {limit} bytes")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// The body took too long to arrive.
    #[error("body: expected within {seconds} s")]
    BodyTimeout {
        /// The limit.
        seconds: f64,
    },
    /// The connection broke before the body was complete.
    #[error("body: ended before it was complete")]
    BodyIncomplete(#[source] axum::Error),
    /// Too many requests are being answered.
    #[error("busy: {limit} requests are being answered, as many as this server takes at a time")]
    Overloaded {
        /// The limit.
        limit: usize,
    },
    /// What requests hold in memory is as much as is allowed.
    #[error("busy: the requests that are being answered hold {limit} bytes, as many as this server takes at a time")]
    NoRoom {
        /// The limit.
        limit: usize,
    },
    /// The server is on its way out.
    #[error("the server is shutting down")]
    Draining,
    /// An answer could not be written as JSON: our mistake.
    #[error("an answer cannot be written")]
    Answer(#[source] serde_json::Error),
    /// The request met a bug: our mistake.
    #[error("a handler panicked")]
    Panicked,
}

impl Error {
    /// What to do about it, for people; `None` where the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Router(error) => error.hint(),
            Self::ConfigRefused(error) => error.hint(),
            Self::Listen { .. } => Some("give a free address as host:port; port 0 takes any free port"),
            Self::OpenAdmin { .. } => Some(
                "bind it to 127.0.0.1, or make a key, `pointsman key`, and name its digest in [server] admin_key_sha256",
            ),
            Self::NoTargets => Some("name one in the configuration: [[targets]] with name, model and base_url"),
            Self::NoState => Some("name a file in the configuration: [state] with path"),
            Self::WrongArtifact { .. } => {
                Some("put the file of that identity in place, or change `sha256` in [router]")
            }
            Self::NotSigned { .. } => Some("sign it with the key's secret half: minisign -Sm FILE"),
            Self::NoRouter => Some("give --router ROUTER, or `path` in [router] of the configuration"),
            _ => None,
        }
    }

    /// A limit that leaves room again after `wait`.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::RateLimited { retry_after: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }

    pub(crate) fn target(target: &str, field: &'static str, expected: &'static str, got: &str) -> Self {
        let short = |text: &str| text.chars().take(80).collect();
        Self::BadTarget { target: short(target), field, expected, got: short(got) }
    }

    pub(crate) fn tenant(tenant: &str, field: &'static str, expected: &'static str, got: &str) -> Self {
        let short = |text: &str| text.chars().take(80).collect();
        Self::BadTenant { tenant: short(tenant), field, expected, got: short(got) }
    }

    pub(crate) fn policy(policy: &str, field: &'static str, expected: &'static str, got: &str) -> Self {
        let short = |text: &str| text.chars().take(200).collect();
        Self::BadPolicy { policy: short(policy), field, expected, got: short(got) }
    }

    pub(crate) fn invalid(
        param: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
        got: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::InvalidRequest { param: param.into(), expected: expected.into(), got: got.into() }
    }

    /// The same with whom the request asked for, where nobody could answer.
    pub(crate) fn asking(self, body: &[u8]) -> Self {
        match self {
            Self::NoCandidate { .. } | Self::NoTarget { .. } | Self::Upstream { .. } => {
                Self::Asking { models: requested(body), error: Box::new(self) }
            }
            error => error,
        }
    }

    /// No target may answer: what keeps the request from each, and the limits that excluded other models before.
    pub(crate) fn no_target(mut barred: Vec<&'static str>, limits: impl Iterator<Item = &'static str>) -> Self {
        // That some models have no target says little where others have one.
        if barred.iter().any(|word| *word != barred::TARGETS) {
            barred.retain(|word| *word != barred::TARGETS);
        }
        let is_regional = barred.iter().all(|word| *word == barred::REGION);
        let mut excluded_by = barred;
        excluded_by.extend(limits);
        excluded_by.sort_unstable();
        excluded_by.dedup();
        Self::NoTarget { excluded_by, is_regional }
    }

    /// Calls to targets that came to nothing.
    pub(crate) fn attempts(&self) -> usize {
        match self {
            Self::Upstream { attempts, .. } => attempts.len(),
            Self::Asking { error, .. } => error.attempts(),
            _ => 0,
        }
    }

    /// The error and its causes on one line, for the operator.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Whom a body asks for, in its order.
fn requested(body: &[u8]) -> Vec<String> {
    #[derive(Default, serde::Deserialize)]
    struct Names {
        model: Option<String>,
        #[serde(default)]
        models: Vec<String>,
    }
    let Names { model, models } = serde_json::from_slice(body).unwrap_or_default();
    let auto = (model.is_none() && models.is_empty()).then(|| AUTO.to_owned());
    let all = model.into_iter().chain(models).chain(auto);
    all.take(MOST_REPEATED).map(|name| name.chars().take(80).collect()).collect()
}

/// A call that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempted {
    /// Whom it was to.
    pub target: String,
    /// Why it came to nothing, of a closed set.
    pub cause: &'static str,
    /// The status, where the target answered with one.
    pub status: Option<u16>,
}

/// What failed attempts come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamOutcome {
    /// All were too busy.
    RateLimited,
    /// None knew our key.
    CredentialsExhausted,
    /// None answered in time.
    TimedOut,
    /// None of the only region where the request may be answered did.
    RegionRestricted,
    /// Anything else.
    Failed,
}

fn target_message(excluded_by: &[&'static str]) -> String {
    if *excluded_by == [barred::TARGETS] {
        return "no target has a model that may answer this request: name one under [[targets]]".to_owned();
    }
    format!("no target that this request may reach has a model that may answer it: {}", excluded_by.join(", "))
}

fn upstream_message(outcome: UpstreamOutcome) -> &'static str {
    match outcome {
        UpstreamOutcome::RateLimited => "every target that could answer is over its rate limit",
        UpstreamOutcome::CredentialsExhausted => "no target that could answer accepts this server's key",
        UpstreamOutcome::TimedOut => "no target that could answer did so in time",
        UpstreamOutcome::RegionRestricted => {
            "no target of the only region where this may be answered did so, and none elsewhere is asked"
        }
        UpstreamOutcome::Failed => "no target that could answer did so",
    }
}
