//! Connections to a node: requests over HTTP/2, and streams; with TLS and a certificate that is known, or plain.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hushwood_codec::{Decode, Encode};
use hushwood_delivery::wire::{Answer, CallKind, ClientFrame, MEDIA_TYPE, Refused, STREAM_PATH, ServerFrame};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::client::SERVICE;

/// Bytes both ways.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// How a node is reached.
#[derive(Clone)]
pub struct Place {
    /// Where it listens.
    pub address: SocketAddr,
    /// TLS for HTTP/2 and for HTTP/1.1.
    tls: Option<[Arc<ClientConfig>; 2]>,
    /// What a proxy would say of where the request comes from.
    from: Option<IpAddr>,
}

impl Place {
    /// Without TLS.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, from: None }
    }

    /// With TLS, of a node that has this certificate.
    ///
    /// # Errors
    /// If it is no certificate.
    pub fn pinned(address: SocketAddr, certificate: &CertificateDer<'static>) -> Result<Self> {
        let tls = |protocol: &str| -> Result<_> {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone())?;
            let provider = Arc::new(aws_lc_rs::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            // Each is a device of its own.
            config.resumption = Resumption::disabled();
            Ok(Arc::new(config))
        };
        Ok(Self { address, tls: Some([tls("h2")?, tls("http/1.1")?]), from: None })
    }

    /// The same, coming from this address, as a proxy says.
    #[must_use]
    pub fn coming_from(&self, from: IpAddr) -> Self {
        Self { from: Some(from), ..self.clone() }
    }

    async fn socket(&self, streams: bool) -> Result<Box<dyn Socket>> {
        let socket = TcpStream::connect(self.address).await.context("no connection")?;
        socket.set_nodelay(true)?;
        let Some([requests, upgrades]) = &self.tls else { return Ok(Box::new(socket)) };
        let config = if streams { upgrades } else { requests };
        let name = ServerName::try_from(SERVICE)?;
        Ok(Box::new(TlsConnector::from(config.clone()).connect(name, socket).await.context("no TLS")?))
    }
}

/// A connection for requests; its clones share it.
#[derive(Clone)]
pub struct Link {
    sender: http2::SendRequest<Full<Bytes>>,
    from: Option<IpAddr>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn open(place: &Place) -> Result<Self> {
        let socket = TokioIo::new(place.socket(false).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), socket).await?;
        tokio::spawn(connection);
        Ok(Self { sender, from: place.from })
    }

    /// Asks, and gives the answer, or the refusal.
    ///
    /// # Errors
    /// If the connection fails, or what comes is no answer.
    pub async fn call(
        &mut self,
        kind: CallKind,
        body: Bytes,
        token: Option<&str>,
    ) -> Result<Result<Answer, Refused>> {
        let mut request =
            Request::post(format!("https://{SERVICE}{}", kind.path())).header("content-type", MEDIA_TYPE);
        if let Some(from) = self.from {
            request = request.header("x-forwarded-for", from.to_string());
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(match status {
            StatusCode::OK => Ok(Answer::from_body(kind, &body)?),
            _ => Err(Refused::from_bytes(&body)?),
        })
    }
}

/// A connection that stays open.
pub struct Stream(WebSocketStream<Box<dyn Socket>>);

impl Stream {
    /// Connects.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn open(place: &Place) -> Result<Self> {
        let socket = place.socket(true).await?;
        let mut request = format!("ws://{SERVICE}{STREAM_PATH}").into_client_request()?;
        if let Some(from) = place.from {
            request.headers_mut().insert("x-forwarded-for", from.to_string().parse()?);
        }
        // Ten thousand of them are in one process here.
        let small = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(0);
        let (stream, _) = client_async_with_config(request, socket, Some(small)).await?;
        Ok(Self(stream))
    }

    /// Says something.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn say(&mut self, frame: &ClientFrame) -> Result<()> {
        Ok(self.0.send(Message::Binary(frame.to_bytes()?.into())).await?)
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// If the connection ends, or what comes is no frame.
    pub async fn next(&mut self) -> Result<ServerFrame> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(ServerFrame::from_message(&bytes)?),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => bail!("the stream was ended: {other}"),
                Some(Err(error)) => return Err(error.into()),
                None => bail!("the stream has ended"),
            }
        }
    }
}
