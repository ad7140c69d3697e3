//! Why a target's answer was none, as an operator tells the causes apart: after which of them somebody else is asked.

use serde::Deserialize;

/// A cause; [`Settings::fallback_on`](crate::Settings::fallback_on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// No connection, or one that broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// 429.
    RateLimit,
    /// 401 to 403: the target does not take our key.
    Credentials,
    /// 408, 500 and above, or an answer that is none.
    Server,
    /// The target refuses the request for being longer than its model can read.
    Context,
    /// The target refuses the request for what it is about.
    Content,
}

impl Cause {
    /// After which somebody else is asked unless the operator says otherwise: all but [`Self::Content`], for who asks until
    /// somebody does not mind has to mean it.
    pub const DEFAULT: [Self; 6] =
        [Self::Connection, Self::Timeout, Self::RateLimit, Self::Credentials, Self::Server, Self::Context];
}
