//! A delivery service behind HTTP: requests are bodies of `POST`s, over one connection while it lasts.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use http_body_util::{BodyExt, Full, Limited};
use hushwood_codec::Decode;
use hushwood_delivery::wire::{Answer, Call, CallKind, MEDIA_TYPE, Refused};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::transport::blocking::wait_for;
use crate::transport::tls::{self, ServerTrust};
use crate::transport::websocket::{self, Connections};
use crate::transport::{AsyncTransport, StreamHandle, StreamListener, Task, Transport, TransportError};

/// A delivery service behind HTTP, for hosts with a tokio runtime: all that it does is done there.
///
/// News come by the service's WebSocket; where a proxy lets none through they are looked for from time to time.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    streams: Option<Connections>,
    base: String,
    timeout: Duration,
}

/// A delivery service behind HTTP, for hosts that wait in threads. It has a thread of its own for its connections.
///
/// In a task of tokio it works too, but keeps the thread of that task waiting: take [`Http`] and
/// [`AsyncClient`](crate::AsyncClient) there.
pub struct BlockingHttp {
    http: Http,
    runtime: Option<Runtime>,
}

/// Why an address can't be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no address of the form `https://host:port`.
    NoAddress,
    /// `http://` needs [`ServerTrust::Unprotected`], and `https://` something else.
    Protection,
    /// The certificates can't be read, or there are none.
    Certificates(String),
    /// No runtime could be made.
    Runtime(std::io::Error),
}

impl Http {
    /// The service at an address such as `https://chat.example:8443`, if it is what `trust` says.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str, trust: &ServerTrust) -> Result<Self, AddressError> {
        let base = address.trim_end_matches('/');
        let uri: Uri = base.parse().or(Err(AddressError::NoAddress))?;
        if uri.authority().is_none() || uri.query().is_some() {
            return Err(AddressError::NoAddress);
        }
        let is_protected = !matches!(trust, ServerTrust::Unprotected);
        match (uri.scheme_str(), is_protected) {
            (Some("https"), true) | (Some("http"), false) => {}
            (Some("https" | "http"), _) => return Err(AddressError::Protection),
            _ => return Err(AddressError::NoAddress),
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = tls::config(trust)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let streams = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, streams: Some(streams), base: base.to_owned(), timeout: TIMEOUT })
    }

    /// Without the service's stream: news are looked for as [`Settings::poll`](crate::Settings::poll) says.
    #[must_use]
    pub fn without_stream(self) -> Self {
        Self { streams: None, ..self }
    }

    fn begin_stream(&self, runtime: &Handle, listener: StreamListener) -> Option<StreamHandle> {
        let streams = self.streams.clone()?;
        Some(websocket::begin(streams, self.base.clone(), runtime, listener))
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn ask(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, TransportError> {
        let kind = call.kind();
        let body =
            call.to_body().or(Err(TransportError::Garbled("the request is too long to be encoded")))?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{}", self.base, kind.path()))
            .header(header::CONTENT_TYPE, MEDIA_TYPE);
        if let Some(token) = token {
            let bearer = format!("Bearer {}", Base64UrlUnpadded::encode_string(token));
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.or(Err(TransportError::Garbled("the address is none")))?;
        let response = self.client.request(request).await.map_err(|error| failure(&error))?;
        let (head, body) = response.into_parts();
        let is_ours = head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == MEDIA_TYPE);
        let most = if head.status == StatusCode::OK { kind.max_answer() } else { MAX_REFUSAL };
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| TransportError::Unknown(error.to_string()))?.to_bytes();
        match (head.status, is_ours) {
            (StatusCode::OK, true) => Answer::from_body(kind, &body)
                .or(Err(TransportError::Garbled("an answer that can't be read"))),
            (_, true) => {
                let refused = Refused::from_bytes(&body);
                Err(refused
                    .map_or(TransportError::Garbled("a refusal that can't be read"), TransportError::Refused))
            }
            // Something in between: a proxy, perhaps, that has lost its server.
            (status, false) if status.is_server_error() => {
                Err(TransportError::Unknown(format!("status {}", status.as_u16())))
            }
            (_, false) => Err(TransportError::Garbled("something else than a delivery service")),
        }
    }
}

impl AsyncTransport for Http {
    async fn call(&self, call: Call, token: Option<Vec<u8>>) -> Result<Answer, TransportError> {
        // What is large takes longer.
        let time = match call.kind() {
            CallKind::CreateGroup | CallKind::GroupInfo | CallKind::Tree => self.timeout.saturating_mul(4),
            _ => self.timeout,
        };
        match tokio::time::timeout(time, self.ask(call, token.as_deref())).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Unknown("it takes too long".to_owned())),
        }
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn spawn(&self, task: Task) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(task);
        }
    }

    fn listen(&self, listener: StreamListener) -> Option<StreamHandle> {
        self.begin_stream(&Handle::try_current().ok()?, listener)
    }
}

impl BlockingHttp {
    /// As [`Http::new`].
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str, trust: &ServerTrust) -> Result<Self, AddressError> {
        // Connections are kept alive while nobody asks: a thread of its own does that.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(AddressError::Runtime)?;
        Ok(Self { http: Http::new(address, trust)?, runtime: Some(runtime) })
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = timeout;
        self
    }

    /// As [`Http::without_stream`].
    #[must_use]
    pub fn without_stream(mut self) -> Self {
        self.http.streams = None;
        self
    }
}

impl Transport for BlockingHttp {
    fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, TransportError> {
        let runtime =
            self.runtime.as_ref().ok_or_else(|| TransportError::Unreachable("it has ended".to_owned()))?;
        wait_for(runtime.handle(), AsyncTransport::call(&self.http, call, token.map(<[u8]>::to_vec)))
    }

    fn listen(&self, listener: StreamListener) -> Option<StreamHandle> {
        self.http.begin_stream(self.runtime.as_ref()?.handle(), listener)
    }
}

impl Drop for BlockingHttp {
    fn drop(&mut self) {
        // Also where nobody may wait, as in a task.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

const CONNECT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);
/// The longest refusal that is read.
pub(super) const MAX_REFUSAL: usize = 64 << 10;

/// Whether the request can have reached the service.
pub(super) fn failure(error: &hyper_util::client::legacy::Error) -> TransportError {
    let mut cause = error.source();
    let mut why = error.to_string();
    while let Some(error) = cause {
        why = error.to_string();
        if let Some(tls::Refused(reason)) = tls::refusal(error) {
            return TransportError::WrongServer(reason);
        }
        cause = error.source();
    }
    match error.is_connect() {
        true => TransportError::Unreachable(why),
        false => TransportError::Unknown(why),
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("this is no address: it looks like https://chat.example:8443"),
            Self::Protection => f.write_str(
                "an address with https:// needs a way to know the server, such as its fingerprint; one with http:// is \
                 for servers behind a proxy or on this machine, and has none",
            ),
            Self::Certificates(why) => write!(f, "the certificates that vouch for servers can't be used: {why}"),
            Self::Runtime(error) => write!(f, "no runtime for connections: {error}"),
        }
    }
}

impl std::error::Error for AddressError {}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

impl fmt::Debug for BlockingHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingHttp").field("base", &self.http.base).finish_non_exhaustive()
    }
}
