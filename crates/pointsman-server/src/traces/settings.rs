//! What an operator may say of traces, and its validated form.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::Deserialize;

use crate::error::Error;
use crate::upstream::client::Trust;

/// Where the path of a collector's address begins unless it has one of its own.
const DEFAULT_PATH: &str = "/v1/traces";

/// The port that OTLP over gRPC has by convention.
const GRPC_PORT: u16 = 4317;

/// How traces are exported; [`Settings::traces`](crate::Settings::traces).
#[derive(Clone, PartialEq)]
pub struct TraceSettings {
    /// Address of a collector that speaks OTLP, such as `http://localhost:4318`. Over HTTP `/v1/traces` is added to an address
    /// without a path; over gRPC there is none.
    pub endpoint: String,
    /// How it is spoken to. Default: gRPC on port 4317, HTTP on any other.
    pub protocol: Option<TraceProtocol>,
    /// Share of the requests without a trace of their client's that is traced, 0 to 1; whether others are is the client's word.
    /// Default: 1.
    pub sample: f64,
    /// What this server is called in traces. Default: `pointsman`.
    pub service_name: String,
    /// The authorities that its certificate may be of, in PEM, in the place of the system's; only with `https`. Default: none.
    pub ca_pem: Option<String>,
    /// Headers for the collector by name, such as `authorization`. Default: none.
    pub headers: BTreeMap<String, String>,
}

impl TraceSettings {
    /// The defaults, for this address.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol: None,
            sample: 1.0,
            service_name: "pointsman".into(),
            ca_pem: None,
            headers: BTreeMap::new(),
        }
    }
}

impl std::fmt::Debug for TraceSettings {
    /// Without the headers, which are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceSettings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("sample", &self.sample)
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

/// How OTLP is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceProtocol {
    /// Protobuf in the bodies of HTTP/1.1 requests.
    Http,
    /// gRPC.
    Grpc,
}

/// A collector as validated settings describe it.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(super) endpoint: Uri,
    pub(super) protocol: TraceProtocol,
    pub(super) sample: f64,
    pub(super) service_name: String,
    /// Certificates, where these are the ones to trust.
    pub(super) ca_pem: Option<String>,
    /// Marked sensitive.
    pub(super) headers: HeaderMap,
}

impl Collector {
    pub(crate) fn new(settings: &TraceSettings) -> Result<Self, Error> {
        let TraceSettings { endpoint, protocol, sample, service_name, ca_pem, headers } = settings;
        let bad =
            |field, expected, got: &str| Error::BadSetting { field, expected, got: got.chars().take(80).collect() };
        if !(0.0..=1.0).contains(sample) {
            return Err(bad("traces.sample", "0 to 1", &sample.to_string()));
        }
        if service_name.is_empty() {
            return Err(bad("traces.service_name", "a name", "none"));
        }
        let bad_address =
            || bad("traces.endpoint", "http:// or https:// with a host, and without credentials", endpoint);
        let uri: Uri = endpoint.trim_end_matches('/').parse().map_err(|_| bad_address())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let Some(authority) = uri.authority().filter(|authority| is_http && !authority.as_str().contains('@')) else {
            return Err(bad_address());
        };
        if let Some(pem) = ca_pem {
            if uri.scheme_str() != Some("https") {
                return Err(bad("traces.ca_file", "https:// in `traces.endpoint`", endpoint));
            }
            Trust::authorities(pem).ok_or_else(|| bad("traces.ca_file", "certificates in PEM", "others, or none"))?;
        }
        let by_port = if authority.port_u16() == Some(GRPC_PORT) { TraceProtocol::Grpc } else { TraceProtocol::Http };
        let protocol = protocol.unwrap_or(by_port);
        let has_path = uri.path_and_query().is_some_and(|path| path != "/");
        let endpoint = match protocol {
            TraceProtocol::Grpc if has_path => return Err(bad("traces.endpoint", "no path with gRPC", endpoint)),
            TraceProtocol::Http if !has_path => {
                let mut parts = uri.into_parts();
                parts.path_and_query = Some(DEFAULT_PATH.parse().expect("a path"));
                Uri::from_parts(parts).expect("it had all its parts")
            }
            TraceProtocol::Grpc | TraceProtocol::Http => uri,
        };
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(|_| bad("traces.headers_env", "names of headers", name))?;
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| bad("traces.headers_env", "values of visible characters", name.as_str()))?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        let headers = headers.collect::<Result<_, Error>>()?;
        Ok(Self {
            endpoint,
            protocol,
            sample: *sample,
            service_name: service_name.clone(),
            ca_pem: ca_pem.clone(),
            headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::tls::AUTHORITY;

    #[test]
    fn the_address_says_the_protocol_unless_something_else_does() {
        use TraceProtocol::{Grpc, Http};
        for (endpoint, given, protocol, used) in [
            ("http://localhost:4318", None, Http, "http://localhost:4318/v1/traces"),
            ("http://localhost:4317/", None, Grpc, "http://localhost:4317/"),
            ("https://otel.example", None, Http, "https://otel.example/v1/traces"),
            ("https://otel.example/", Some(Grpc), Grpc, "https://otel.example/"),
            ("http://[::1]:4317/own/path", Some(Http), Http, "http://[::1]:4317/own/path"),
        ] {
            let settings = TraceSettings { protocol: given, ..TraceSettings::new(endpoint) };
            let collector = Collector::new(&settings).expect(endpoint);
            assert_eq!((collector.protocol, collector.endpoint.to_string().as_str()), (protocol, used));
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let good = TraceSettings::new("http://localhost:4318");
        let secure = TraceSettings::new("https://localhost:4318");
        let header = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        for (bad, expected) in [
            (TraceSettings::new("localhost:4318"), "traces.endpoint"),
            (TraceSettings::new("ftp://localhost"), "traces.endpoint"),
            (TraceSettings::new("http://u:p@localhost"), "traces.endpoint"),
            (TraceSettings::new("http://localhost:4317/v1/traces"), "no path with gRPC"),
            (TraceSettings { sample: 1.5, ..good.clone() }, "traces.sample` expected 0 to 1, got 1.5"),
            (TraceSettings { sample: f64::NAN, ..good.clone() }, "traces.sample"),
            (TraceSettings { service_name: String::new(), ..good.clone() }, "traces.service_name"),
            (TraceSettings { ca_pem: Some(AUTHORITY.into()), ..good.clone() }, "ca_file` expected https:// in"),
            (
                TraceSettings { ca_pem: Some("no PEM".into()), ..secure.clone() },
                "ca_file` expected certificates in PEM",
            ),
            (TraceSettings { ca_pem: Some(AUTHORITY.replace('M', "N")), ..secure }, "ca_file` expected certificates"),
            (TraceSettings { headers: header("no header", "x"), ..good.clone() }, "traces.headers_env"),
            (TraceSettings { headers: header("authorization", "secret\n"), ..good }, "got authorization"),
        ] {
            let error = Collector::new(&bad).expect_err("refused").to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let headers = BTreeMap::from([("authorization".to_owned(), "Bearer abc".to_owned())]);
        let settings = TraceSettings { headers, ..TraceSettings::new("http://localhost:4318") };
        assert!(!format!("{settings:?}").contains("abc"));
        assert!(!format!("{:?}", Collector::new(&settings)).contains("abc"));
    }
}
