//! The routing core: snapshot × request → plan. Pure: no clock, no socket, no task. What a gateway knows of its
//! targets at a moment (health, load, budgets) will come in here as one more argument, and what it does with a plan
//! happens outside.

pub(crate) mod causes;
mod digest;
pub(crate) mod plan;
pub(crate) mod policies;
pub(crate) mod retries;
pub(crate) mod sessions;
pub(crate) mod snapshot;
