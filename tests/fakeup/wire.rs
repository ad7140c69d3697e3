//! Bytes in and out, plain or under TLS.

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Signed by itself, for 127.0.0.1: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500
/// -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1`, as DER. Nobody trusts it, so nothing depends on its key.
const CERTIFICATE: &[u8] = include_bytes!("untrusted/certificate.der");
const KEY: &[u8] = include_bytes!("untrusted/key.der");

/// Bytes read at a time.
const READ: usize = 16 << 10;

/// A connection.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Shakes hands as a server that cannot be trusted.
    pub(super) async fn untrusted(stream: TcpStream) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider knows the usual versions").with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
        let config = builder.with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("key and certificate belong together")));
        Ok(Self::Tls(Box::new(acceptor.accept(stream).await?)))
    }

    /// Adds what comes next to `bytes`; 0 where nothing will.
    pub(super) async fn read(&mut self, bytes: &mut Vec<u8>) -> Result<usize> {
        poll_fn(|context| {
            // Here it costs the stack of a moment, outside the memory of every connection that waits.
            let mut piece = [0; READ];
            let mut buffer = ReadBuf::new(&mut piece);
            ready!(match self {
                Self::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
                Self::Tls(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            })?;
            bytes.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
        .await
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| match self {
                Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
                Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            });
            match written.await? {
                0 => return Err(Error::from(ErrorKind::WriteZero)),
                n => bytes = &bytes[n..],
            }
        }
        if let Self::Tls(stream) = self {
            poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await?;
        }
        Ok(())
    }

    /// Ends it so that the other side's next read fails.
    pub(super) fn reset(self) {
        let stream = match &self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // Where that cannot be set, the connection is closed, which is what happens when it is dropped.
        let _ = stream.set_zero_linger();
    }
}
