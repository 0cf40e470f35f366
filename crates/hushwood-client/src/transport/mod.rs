//! How requests reach the delivery service.

#[cfg(any(feature = "http", feature = "in-process"))]
mod blocking;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "in-process")]
mod in_process;
mod stream;
#[cfg(feature = "http")]
mod tls;
#[cfg(feature = "http")]
mod websocket;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use hushwood_delivery::wire::{Answer, Call, Refused};

#[cfg(feature = "http")]
pub use http::{AddressError, BlockingHttp, Http};
#[cfg(feature = "in-process")]
pub use in_process::InProcess;
pub use stream::{StreamEvent, StreamHandle, StreamListener};
#[cfg(feature = "http")]
pub use tls::ServerTrust;

/// What carries requests and answers, one after another or several at once.
///
/// It need not be reliable: an answer may be lost, late, or come twice. It need not be trusted either: the worst that it can
/// do is what a delivery service can do.
pub trait Transport: Send + Sync + 'static {
    /// Asks the service. `token` shows which device asks, where the request needs it. It is called in a thread of its own, so
    /// that nobody waits longer than they want to.
    ///
    /// # Errors
    /// [`TransportError`].
    fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, TransportError>;

    /// Opens the service's stream, which tells of news as they come, and returns at once. `None` if this transport has none:
    /// then news are looked for from time to time ([`Settings::poll`](crate::Settings::poll)).
    fn listen(&self, _listener: StreamListener) -> Option<StreamHandle> {
        None
    }
}

/// The same for a host that does not wait in threads.
pub trait AsyncTransport: Send + Sync + 'static {
    /// Asks the service.
    fn call(
        &self,
        call: Call,
        token: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<Answer, TransportError>> + Send;

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Does this beside everything else: a request goes on when whoever has asked does not wait any more. What can't be begun is
    /// dropped.
    fn spawn(&self, task: Task);

    /// As [`Transport::listen`].
    fn listen(&self, _listener: StreamListener) -> Option<StreamHandle> {
        None
    }
}

/// Something to be done beside everything else.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TransportError {
    /// The service says no.
    Refused(Refused),
    /// The service was not reached: nothing has happened.
    Unreachable(String),
    /// No answer came: whether something has happened is not known. The same request is asked again.
    Unknown(String),
    /// Whoever answers is not the service that was meant. Nothing was sent.
    WrongServer(String),
    /// What answered is no answer of this protocol.
    Garbled(&'static str),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "the delivery service refuses: {refused}"),
            Self::Unreachable(why) => {
                write!(
                    f,
                    "the delivery service can't be reached ({why}): check address and network; what you did is \
                           kept and is sent when it can be"
                )
            }
            Self::Unknown(why) => {
                write!(
                    f,
                    "the delivery service did not answer ({why}): it is asked again, and nothing is done twice"
                )
            }
            Self::WrongServer(why) => write!(
                f,
                "this is not the delivery service that it should be ({why}): compare its fingerprint with the operator's; \
                 nothing was sent"
            ),
            Self::Garbled(what) => {
                write!(f, "what answers is no delivery service of this version ({what}): check the address")
            }
        }
    }
}

impl std::error::Error for TransportError {}
