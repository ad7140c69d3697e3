//! HTTP to one target: connections kept, redirects not followed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use tokio::time::timeout;
use tower_service::Service;

use super::Failure;
use super::addresses::{Reach, refused};
use super::sockets::{Tcp, tcp};
use crate::error::Error;

/// How long a connection that nobody uses is kept.
const KEPT: Duration = Duration::from_secs(30);

/// Whom to trust: what clients have in common, but for those with authorities of their own.
#[derive(Clone, Debug)]
pub(crate) struct Trust(ClientConfig);

impl Trust {
    /// The system's certificates; nobody, where no target needs them.
    pub(crate) fn new(needs_tls: bool) -> Result<Self, Error> {
        if !needs_tls {
            return Ok(Self::these(RootCertStore::empty()));
        }
        let builder = builder().with_native_roots().map_err(Error::Certificates)?;
        Ok(Self(builder.with_no_client_auth()))
    }

    /// The authorities of a text in PEM, and nobody else; `None` where it has no certificate, or one that cannot be used.
    pub(crate) fn authorities(pem: &str) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.ok()?).ok()?;
        }
        (!roots.is_empty()).then(|| Self::these(roots))
    }

    fn these(roots: RootCertStore) -> Self {
        Self(builder().with_root_certificates(roots).with_no_client_auth())
    }
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the usual versions")
}

/// A pool of connections; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Client(Pool<Within<HttpsConnector<Tcp>>, Full<Bytes>>);

impl Client {
    /// A pool whose connections may take so long to come about.
    pub(crate) fn new(trust: &Trust, connect: Duration, reach: Reach) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.0.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp(connect, reach));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .build(Within { connector, limit: connect });
        Self(pool)
    }

    /// One request; the head of the reply.
    pub(crate) async fn post(&self, uri: Uri, headers: HeaderMap, body: Bytes) -> Result<Response<Incoming>, Failure> {
        self.send(Method::POST, uri, headers, body).await
    }

    /// One question without a body; the head of the reply.
    pub(crate) async fn get(&self, uri: Uri, headers: HeaderMap) -> Result<Response<Incoming>, Failure> {
        self.send(Method::GET, uri, headers, Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        self.0.request(request).await.map_err(|error| failure(&error))
    }
}

/// A connector whose connections are ready within so long: name, address and TLS together. Its parts have no limit for all of
/// them, and a server that takes connections and says nothing would be waited for as long as for an answer.
#[derive(Clone, Debug)]
struct Within<C> {
    connector: C,
    limit: Duration,
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = timeout(self.limit, self.connector.call(uri));
        Box::pin(async { connection.await?.map_err(Into::into) })
    }
}

fn failure(error: &legacy::Error) -> Failure {
    if let Some(refused) = refused(error) {
        tracing::warn!(
            cause = refused.to_string(),
            "an address is not reached; `private_addresses` allows private ones"
        );
        return Failure::AddressRefused;
    }
    if error.is_connect() { Failure::Connect } else { Failure::Broken }
}
