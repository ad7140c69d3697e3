//! What an operator may say of a target.

use std::time::Duration;

use pointsman::artifact::ListPrice;

/// A target as configured; [`Settings::targets`](crate::Settings::targets).
#[derive(Clone, PartialEq)]
pub struct TargetSettings {
    /// Unique; in replies, logs and metrics.
    pub name: String,
    /// The router's name of the model that is reached here; any name where it serves embeddings alone.
    pub model: String,
    /// Address of the service, such as `https://api.example.com/v1`.
    pub base_url: String,
    /// Whether the host's name may stand for an address of this machine or network; one that is written as such may in any
    /// case. Default: no.
    pub private_addresses: bool,
    /// The service's name of the model; default: `model`.
    pub upstream_model: Option<String>,
    /// The key, sent as the endpoint's protocol has it; `None` sends none.
    pub api_key: Option<String>,
    /// The authorities that its certificate may be of, in PEM, in the place of the system's; only with `https`. Default: none.
    pub ca_pem: Option<String>,
    /// Times.
    pub timeouts: Timeouts,
    /// Where it is, such as `eu`; default: not said.
    pub region: Option<String>,
    /// Latitude and longitude, in degrees; default: its region's.
    pub at: Option<[f64; 2]>,
    /// What it answers: `chat`, `responses`, `messages`, `embeddings`. Default: `chat`.
    pub endpoints: Vec<String>,
    /// What it can do: `tools`, `vision`, `json`. Requests that need something else never reach it. Default: everything.
    pub capabilities: Option<Vec<String>>,
    /// Tokens that fit, request and answer; longer requests never reach it. Default: any number.
    pub context_length: Option<u32>,
    /// What it asks, where that is not what the router's catalogue says of the model.
    pub price: Option<TargetPrice>,
    /// Whose it is, such as `openai` or `deepinfra/turbo`; requests name it so too. Default: not said.
    pub provider: Option<String>,
    /// Whether its service may collect what it is sent: `allow` or `deny`. Default: it may.
    pub data_collection: Option<String>,
    /// Whether its service keeps nothing of what it is sent. Default: no.
    pub zdr: bool,
    /// Whether others may be trained on its answers. Default: no.
    pub distillable_text: bool,
    /// How its model's weights are kept: `int4`, `int8`, `fp4`, `fp6`, `fp8`, `fp16`, `bf16`, `fp32`, `unknown`. Default:
    /// unknown.
    pub quantization: Option<String>,
}

impl TargetSettings {
    /// A target of this name that reaches this model here, with the defaults.
    pub fn new(name: impl Into<String>, model: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            base_url: base_url.into(),
            private_addresses: false,
            upstream_model: None,
            api_key: None,
            ca_pem: None,
            timeouts: Timeouts::default(),
            region: None,
            at: None,
            endpoints: vec!["chat".into()],
            capabilities: None,
            context_length: None,
            price: None,
            provider: None,
            data_collection: None,
            zdr: false,
            distillable_text: false,
            quantization: None,
        }
    }
}

impl std::fmt::Debug for TargetSettings {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetSettings")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// What a target asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetPrice {
    /// USD per million tokens of a request.
    pub input_usd_per_mtok: f64,
    /// USD per million tokens of an answer.
    pub output_usd_per_mtok: f64,
    /// USD per million tokens of a request that the target has in its cache. Default: as any other.
    pub cached_input_usd_per_mtok: Option<f64>,
}

impl From<ListPrice> for TargetPrice {
    fn from(price: ListPrice) -> Self {
        let ListPrice { input_usd_per_mtok, output_usd_per_mtok } = price;
        Self { input_usd_per_mtok, output_usd_per_mtok, cached_input_usd_per_mtok: None }
    }
}

impl TargetPrice {
    /// What a million tokens in and a million out cost.
    pub(crate) fn sum(&self) -> f64 {
        self.input_usd_per_mtok + self.output_usd_per_mtok
    }

    /// Whether all of it can be asked.
    pub(crate) fn is_valid(&self) -> bool {
        let cached = self.cached_input_usd_per_mtok.unwrap_or_default();
        let all = [self.input_usd_per_mtok, self.output_usd_per_mtok, cached];
        all.iter().all(|usd| *usd >= 0.0 && usd.is_finite())
    }

    /// USD of so many tokens, of which so many of the input were cached.
    pub(crate) fn cost_usd(&self, input: u32, cached: u32, output: u32) -> f64 {
        let cached_usd = self.cached_input_usd_per_mtok.unwrap_or(self.input_usd_per_mtok);
        let input_usd = f64::from(input - cached) * self.input_usd_per_mtok + f64::from(cached) * cached_usd;
        (input_usd + f64::from(output) * self.output_usd_per_mtok) * 1e-6
    }
}

/// How long a target may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect. Default: 2 s.
    pub connect: Duration,
    /// To the first content of a stream. Default: 20 s.
    pub first_token: Duration,
    /// Between two pieces of a stream. Default: 30 s.
    pub idle: Duration,
    /// To the end of the answer. Default: 10 min.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_token: Duration::from_secs(20),
            idle: Duration::from_secs(30),
            total: Duration::from_mins(10),
        }
    }
}

/// Whether and how targets are asked how they are, beside what their answers say of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// Time between two questions to a target; zero: it is never asked. Default: zero.
    pub interval: Duration,
    /// Below the target's base, beginning with a slash; what answers it with less than 500 lives. Default: `/models`.
    pub path: String,
    /// How long the answer may take, above 0. Default: 2 s.
    pub timeout: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { interval: Duration::ZERO, path: "/models".into(), timeout: Duration::from_secs(2) }
    }
}
