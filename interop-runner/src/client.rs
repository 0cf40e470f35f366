//! A client under test: its connection, what it said about itself, and how long its answers took.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::rpc::{self, Rpc, proto};

/// A client that answers.
pub struct Client {
    /// Where it listens.
    pub address: String,
    /// What it calls itself.
    pub name: String,
    /// The suites it has, without those that no code point can be.
    pub suites: Vec<u16>,
    grpc: Grpc<Channel>,
    call_limit: Duration,
    times: Mutex<BTreeMap<&'static str, Times>>,
    /// The last call had no answer, so the next case first asks whether anybody is there.
    silent: AtomicBool,
}

/// How long the calls of one kind took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// How many.
    pub calls: u32,
    /// All together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

/// A call without the answer that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallError {
    /// UNIMPLEMENTED: the client does not have this.
    Unimplemented(String),
    /// Any other status of the client's own.
    Refused(Code, String),
    /// No answer within the limit.
    Silent(Duration),
    /// The connection was refused or broke.
    Gone(String),
}

/// A client that can't be played with.
#[derive(Debug)]
pub enum NoClient {
    /// Not HOST:PORT.
    Address(String),
    /// Nobody listens, or nobody speaks gRPC.
    Unreachable(String, String),
    /// It does not even say who it is.
    Call(String, &'static str, CallError),
}

impl Client {
    /// Connects and asks who is there; tries again until `patience` is over, for clients that are just starting.
    ///
    /// # Errors
    /// [`NoClient`], which says what to do about it.
    pub async fn connect(address: &str, patience: Duration, call_limit: Duration) -> Result<Self, NoClient> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .ok()
            .filter(|endpoint| endpoint.uri().port().is_some())
            .ok_or_else(|| NoClient::Address(address.to_owned()))?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true);
        let began = Instant::now();
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(_) if began.elapsed() < patience => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    return Err(NoClient::Unreachable(address.to_owned(), innermost(&error)));
                }
            }
        };
        let grpc = Grpc::new(channel)
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE);
        let mut client = Self {
            address: address.to_owned(),
            name: String::new(),
            suites: Vec::new(),
            grpc,
            call_limit,
            times: Mutex::default(),
            silent: AtomicBool::new(false),
        };
        let failed = |name: &'static str| {
            let address = address.to_owned();
            move |error| NoClient::Call(address, name, error)
        };
        client.name = match client.call::<rpc::Name>(proto::NameRequest {}).await {
            Ok(answer) => printable(&answer.name),
            Err(error) => return Err(failed("Name")(error)),
        };
        let suites = client
            .call::<rpc::SupportedCiphersuites>(proto::SupportedCiphersuitesRequest {})
            .await
            .map_err(failed("SupportedCiphersuites"))?;
        client.suites =
            suites.ciphersuites.into_iter().filter_map(|suite| u16::try_from(suite).ok()).collect();
        client.suites.sort_unstable();
        client.suites.dedup();
        client.times = Mutex::default();
        Ok(client)
    }

    /// Calls and waits, at most as long as the limit.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<R: Rpc>(&self, request: R::Request) -> Result<R::Response, CallError> {
        self.call_within::<R>(request, self.call_limit).await
    }

    async fn call_within<R: Rpc>(
        &self,
        request: R::Request,
        limit: Duration,
    ) -> Result<R::Response, CallError> {
        let began = Instant::now();
        let mut grpc = self.grpc.clone();
        let call = async {
            grpc.ready().await.map_err(|error| CallError::Gone(innermost(&error)))?;
            let path = PathAndQuery::from_static(R::PATH);
            let codec = ProstCodec::<R::Request, R::Response>::default();
            let answer = grpc.unary(Request::new(request), path, codec).await.map_err(CallError::from)?;
            Ok(answer.into_inner())
        };
        let answer =
            tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(CallError::Silent(limit)));
        self.silent
            .store(matches!(answer, Err(CallError::Silent(_) | CallError::Gone(_))), Ordering::Relaxed);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(R::NAME).or_default().add(began.elapsed());
        answer
    }

    /// Whether somebody is there: asked quickly, and only after a call that had no answer.
    ///
    /// # Errors
    /// The [`CallError`] of that question.
    pub async fn still_there(&self) -> Result<(), CallError> {
        if !self.is_silent() {
            return Ok(());
        }
        let limit = self.call_limit.min(CONNECT);
        self.call_within::<rpc::Name>(proto::NameRequest {}, limit).await.map(|_| ())
    }

    /// True if the last call had no answer.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// How long each kind of call took.
    pub fn times(&self) -> BTreeMap<&'static str, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const CONNECT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);
/// gRPC's own limit is 4 MiB, which a large group's Welcome exceeds.
const LARGEST_MESSAGE: usize = 256 << 20;

impl Times {
    fn add(&mut self, took: Duration) {
        self.calls = self.calls.saturating_add(1);
        self.total = self.total.saturating_add(took);
        self.longest = self.longest.max(took);
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            total: self.total.saturating_add(other.total),
            longest: self.longest.max(other.longest),
        }
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        self.total.checked_div(self.calls).unwrap_or_default()
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        if let Some(source) = status.source() {
            // A status that the connection made up and not the client.
            return Self::Gone(innermost(source));
        }
        let message = printable(status.message());
        match status.code() {
            Code::Unimplemented => Self::Unimplemented(message),
            code => Self::Refused(code, message),
        }
    }
}

/// The cause that says most: "Connection refused" rather than "transport error".
fn innermost(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    printable(&inner.to_string())
}

/// Text of others on a line of ours.
fn printable(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Display for CallError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unimplemented(message) if message.is_empty() => f.write_str("Unimplemented"),
            Self::Unimplemented(message) => write!(f, "Unimplemented: {message}"),
            Self::Refused(code, message) => write!(f, "{code:?}: {message}"),
            Self::Silent(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            Self::Gone(why) => write!(f, "the connection is gone: {why}"),
        }
    }
}

impl Display for NoClient {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => {
                write!(f, "{address} is no address: HOST:PORT is expected, such as 127.0.0.1:50051")
            }
            Self::Unreachable(address, why) => {
                write!(
                    f,
                    "nothing at {address} that speaks HTTP/2 ({why}): is the client started, on that port?"
                )
            }
            Self::Call(address, rpc, error) => {
                write!(f, "the client at {address} does not answer {rpc}: {error}")
            }
        }
    }
}

impl Error for NoClient {}
