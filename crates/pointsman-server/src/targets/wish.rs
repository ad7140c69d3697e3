//! What a request wants of the targets that may carry it out: needs that exclude, and wishes that reorder.

use std::sync::Arc;

use pointsman::Capabilities;

use super::quantiles::Preferred;
use super::terms::Demands;
use crate::regions::Region;
use crate::wire::protocol::Protocol;

/// How targets of a model are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The cheapest first; those of unknown price last.
    Price,
    /// The quickest of late first.
    Latency,
    /// Those of the most tokens per second first; where that is the same or unknown, the quickest.
    Throughput,
}

/// Most that a target may ask, in USD per million tokens. One of unknown price may ask anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MaxPrice {
    pub(crate) input_usd_per_mtok: Option<f64>,
    pub(crate) output_usd_per_mtok: Option<f64>,
    /// Whether there is a limit on what is charged for a request or an image beside its tokens: a price has no such part.
    pub(crate) is_of_extras: bool,
}

/// How what a request costs is told, where a budget pays for it: nobody answers it whose price nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// By the price of who answers.
    ByPrice,
    /// By that, or else by what was predicted.
    ByPrediction,
}

/// What targets are looked for for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A decision, to be carried out by whoever asks, in whatever protocol.
    Decision,
    /// A request, to be carried out in the protocol that it came in.
    Request(Protocol),
}

impl Default for Purpose {
    fn default() -> Self {
        Self::Request(Protocol::default())
    }
}

impl Purpose {
    /// The protocol that is spoken; of a decision that of its body.
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Decision => Protocol::Chat,
            Self::Request(protocol) => protocol,
        }
    }
}

/// Everything wanted of targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wish {
    /// What they are wanted for.
    pub(crate) purpose: Purpose,
    /// What the request needs done.
    pub(crate) needs: Capabilities,
    /// Tokens that it asks room for, for the answer.
    pub(crate) output_tokens: Option<u32>,
    /// Where it comes from, and what that means.
    pub(crate) region: Option<Region>,
    /// Names of targets, or of their providers, that go first, in this order.
    pub(crate) order: Vec<String>,
    /// Name of the target that answered the session before: it goes first within its model while it is well.
    pub(crate) seat: Option<Arc<str>>,
    /// Names of the only targets or providers; empty for all.
    pub(crate) only: Vec<String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) sort: Option<Sort>,
    /// Whether the sort goes across the models, not within each.
    pub(crate) is_across: bool,
    /// How quick they should be.
    pub(crate) preferred: Preferred,
    /// Whether the answer is to be a stream.
    pub(crate) streams: bool,
    /// What is demanded of whoever runs them.
    pub(crate) demands: Demands,
    pub(crate) max_price: MaxPrice,
    /// Where a budget pays.
    pub(crate) counted: Option<Counted>,
    /// Whether one target is asked, once.
    pub(crate) is_single: bool,
}

/// What keeps a target from being asked; also the words of replies.
pub(crate) mod barred {
    /// There is none.
    pub(crate) const TARGETS: &str = "targets";
    pub(crate) const ENDPOINT: &str = "endpoint";
    pub(crate) const CAPABILITIES: &str = "capabilities";
    pub(crate) const CONTEXT_LENGTH: &str = "context_length";
    pub(crate) const REGION: &str = "region";
    pub(crate) const ONLY: &str = "provider.only";
    pub(crate) const IGNORE: &str = "provider.ignore";
    pub(crate) const MAX_PRICE: &str = "provider.max_price";
    pub(crate) const BUDGET: &str = "budget";
    pub(crate) const DATA_COLLECTION: &str = "provider.data_collection";
    pub(crate) const ZDR: &str = "provider.zdr";
    pub(crate) const DISTILLABLE: &str = "provider.enforce_distillable_text";
    pub(crate) const QUANTIZATIONS: &str = "provider.quantizations";
}
