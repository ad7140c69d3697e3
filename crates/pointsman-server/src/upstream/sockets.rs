//! Connections to targets, before TLS: over the system's sockets, or over those of a simulated network.

#[cfg(not(simulation))]
pub(super) use system::{Tcp, tcp};

#[cfg(simulation)]
pub(super) use simulated::{Tcp, tcp};

#[cfg(not(simulation))]
mod system {
    use std::time::Duration;

    use hyper_util::client::legacy::connect::HttpConnector;

    use crate::upstream::addresses::{Reach, Resolver};

    pub(in crate::upstream) type Tcp = HttpConnector<Resolver>;

    /// A connector of connections that take at most so long.
    pub(in crate::upstream) fn tcp(connect: Duration, reach: Reach) -> Tcp {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(reach));
        tcp.set_connect_timeout(Some(connect));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp
    }
}

#[cfg(simulation)]
mod simulated {
    use std::io::Result;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use axum::http::Uri;
    use hyper_util::client::legacy::connect::{Connected, Connection};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tower_service::Service;
    use turmoil::net::TcpStream;

    use crate::upstream::addresses::Reach;

    /// Hosts have names, and nobody else has them.
    #[derive(Clone, Debug)]
    pub(in crate::upstream) struct Tcp;

    pub(in crate::upstream) fn tcp(_: Duration, _: Reach) -> Tcp {
        Tcp
    }

    impl Service<Uri> for Tcp {
        type Response = TokioIo<Socket>;
        type Error = std::io::Error;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, uri: Uri) -> Self::Future {
            let (host, port) = (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(80));
            Box::pin(async move { Ok(TokioIo::new(Socket(TcpStream::connect((host.as_str(), port)).await?))) })
        }
    }

    /// A stream of the simulated network.
    #[derive(Debug)]
    pub(in crate::upstream) struct Socket(TcpStream);

    impl Connection for Socket {
        fn connected(&self) -> Connected {
            Connected::new()
        }
    }

    impl AsyncRead for Socket {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }
}
