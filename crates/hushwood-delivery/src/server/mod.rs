//! The service on a network: HTTP/1.1, HTTP/2 and WebSocket, with or without TLS.
//!
//! Requests come as [`CallKind`](crate::wire::CallKind) says, news go out as in
//! [`ServerFrame`](crate::wire::ServerFrame). What has been taken in whole is carried out, whether or not somebody waits for
//! the answer, and also when the server is about to stop.
//!
//! Nothing that it writes to logs or metrics says which group or account a request was about, or from where it came.

mod addresses;
mod admin;
mod body;
mod budget;
mod bus;
mod connection;
mod http;
mod listen;
mod metrics;
mod settings;
mod stream;
mod tls;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service::Service;
use crate::wire::{RefusalCode, Refused};
use addresses::{Addresses, Origin};
use admin::Health;
use budget::Budget;
use metrics::Metrics;
use tls::Tls;

#[cfg(feature = "postgres")]
pub use bus::PostgresBus;
pub use bus::{Alone, Bus, Hub, Polling, Wake};
pub use settings::{Limits, Protection, ServerSettings};
pub use tls::Fingerprint;

/// A server that has its addresses and does not serve yet.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use hushwood_delivery::backend::{SqliteBackend, SqliteSettings};
/// use hushwood_delivery::server::{Alone, Limits, Protection, Server, ServerSettings};
/// use hushwood_delivery::service::{Service, ServiceSettings};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = SqliteBackend::open(&SqliteSettings::new("delivery.db".as_ref()))?;
/// let service = Service::new(Arc::new(backend), ServiceSettings::new("chat.example")).await?;
/// let settings = ServerSettings {
///     listen: "127.0.0.1:0".parse()?,
///     admin: None,
///     protection: Protection::OwnCertificate(".".into()),
///     limits: Limits::default(),
/// };
/// let server = Server::bind(Arc::new(service), Arc::new(Alone), settings).await?;
/// println!("{}", server.address());
/// server.run(std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    admin: Option<(TcpListener, SocketAddr)>,
    tls: Option<Tls>,
}

/// Why a server can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address that can't be had.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A file of the certificate.
    #[error("can't use {0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// What stands in the files.
    #[error("the certificate can't be used: {0}")]
    Certificate(&'static str),
    /// A certificate of our own could not be made.
    #[error("a certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
    /// Certificate and key do not belong together, or are of a kind that is not known.
    #[error("the certificate can't be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// What all connections share.
pub(crate) struct App {
    service: Arc<Service>,
    hub: Arc<Hub>,
    bus: Arc<dyn Bus>,
    limits: Limits,
    /// Whether a proxy says where requests come from.
    forwarded: bool,
    addresses: Addresses,
    metrics: Metrics,
    health: Health,
    places: Arc<Semaphore>,
    requests: Budget,
    answers: Budget,
    streams: Budget,
    /// All that has begun and has to end before the server does.
    tasks: TaskTracker,
    /// Nothing new is begun.
    stopping: CancellationToken,
    /// What has not ended is cut off.
    cut: CancellationToken,
}

impl App {
    /// Takes requests from what an origin may have.
    fn take(&self, origin: Origin, requests: u32) -> Result<(), Refused> {
        self.addresses.take(origin, requests).map_err(|wait| {
            self.metrics.turn_away("requests of an address");
            Refused::new(RefusalCode::TOO_MANY, "too many requests from this address: try again later")
                .after(wait)
        })
    }

    /// Takes an account from what an origin may make.
    fn register(&self, origin: Origin) -> Result<(), Refused> {
        self.addresses.register(origin).map_err(|wait| {
            self.metrics.turn_away("registrations of an address");
            Refused::new(RefusalCode::TOO_MANY, "too many new accounts from this address: try again later")
                .after(wait)
        })
    }

    /// Takes bytes from what an origin may bring to be kept.
    fn keep(&self, origin: Origin, bytes: usize) -> Result<(), Refused> {
        self.addresses.keep(origin, bytes).map_err(|wait| {
            self.metrics.turn_away("bytes of an address");
            Refused::new(
                RefusalCode::TOO_MANY,
                "so much was brought from this address lately: try again later",
            )
            .after(wait)
        })
    }

    /// Tells those who are connected, here and at other nodes.
    fn wake(&self, wake: &Wake) {
        self.hub.wake(wake);
        self.bus.tell(wake);
    }
}

impl Server {
    /// Takes its addresses and reads its certificate, or makes one.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(
        service: Arc<Service>,
        bus: Arc<dyn Bus>,
        settings: ServerSettings,
    ) -> Result<Self, StartError> {
        let ServerSettings { listen, admin, protection, limits } = settings;
        let tls = Tls::new(&protection, &service.settings().name)?;
        let (listener, address) = bind(listen).await?;
        let admin = match admin {
            Some(admin) => Some(bind(admin).await?),
            None => None,
        };
        let app = App {
            service,
            hub: Arc::default(),
            bus,
            forwarded: matches!(protection, Protection::Plain { forwarded: true }),
            addresses: Addresses::new(&limits),
            metrics: Metrics::new(),
            health: Health::default(),
            places: Arc::new(Semaphore::new(limits.connections)),
            requests: Budget::new(limits.request_bytes, limits.request_bytes_of_address),
            answers: Budget::new(limits.answer_bytes, limits.answer_bytes_of_address),
            streams: Budget::new(limits.stream_bytes, limits.stream_bytes_of_address),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            limits,
        };
        Ok(Self { app: Arc::new(app), listener, address, admin, tls })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address)| *address)
    }

    /// What clients pin; `None` without TLS.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.tls.as_ref().map(|tls| tls.fingerprint)
    }

    /// Who waits for what, for a bus that is driven from outside.
    #[must_use]
    pub fn hub(&self) -> Arc<Hub> {
        self.app.hub.clone()
    }

    /// Serves until `stop` is ready. Then nothing new is begun, what has begun is answered, and those who only wait are told;
    /// what takes longer than [`Limits::drain`] is cut off.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let Self { app, listener, admin, tls, .. } = self;
        let news = tokio::spawn({
            let app = app.clone();
            async move { app.bus.listen(&app.hub).await }
        });
        let inboxes = tokio::spawn(deliveries(app.clone()));
        if let Some((listener, _)) = admin {
            app.tasks.spawn(admin::serve(app.clone(), listener));
        }
        tokio::select! {
            () = listen::serve(&app, listener, tls) => {}
            () = stop => {}
        }
        tracing::info!("stopping");
        app.stopping.cancel();
        app.tasks.close();
        if tokio::time::timeout(app.limits.drain, app.tasks.wait()).await.is_err() {
            tracing::warn!("what has not ended in time is cut off");
            app.cut.cancel();
            // Connections end at once; requests that the back end is at work on are not ended by anybody.
            let _ = tokio::time::timeout(app.limits.drain, app.tasks.wait()).await;
        }
        news.abort();
        inboxes.abort();
        // What it does not write now is done at the next start.
        drop(app.service.settle().await);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Tells devices what comes into their inboxes.
async fn deliveries(app: Arc<App>) {
    let mut deliveries = app.service.deliveries();
    loop {
        match deliveries.recv().await {
            Ok(device) => app.wake(&Wake::Inbox(device)),
            // Others ask again by themselves, once in a while.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
