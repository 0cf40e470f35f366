//! A server with a folder of its own, in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hushwood_delivery::backend::{Backend, Seconds, SqliteBackend, SqliteSettings};
use hushwood_delivery::server::{Alone, Bus, Limits, Protection, Server, ServerSettings};
use hushwood_delivery::service::{Service, ServiceSettings};
use hushwood_delivery::wire::GroupKey;
use tempfile::TempDir;
use test_support::actor::NOW;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::net::{Net, Place};

pub const SERVICE: &str = "delivery.example";

/// The key of the tests' groups at the service.
pub fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

/// A server that runs.
pub struct World {
    pub place: Place,
    pub admin: Place,
    pub folder: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

pub fn plain() -> Protection {
    Protection::Plain { forwarded: false }
}

/// Limits of which tests need not wait for the ends.
pub fn quick() -> Limits {
    Limits { drain: Duration::from_secs(5), ..Limits::default() }
}

pub async fn world() -> World {
    World::with(quick()).await
}

impl World {
    pub async fn with(limits: Limits) -> Self {
        Self::start(Arc::new(TempDir::new().unwrap()), plain(), limits).await
    }

    pub async fn start(folder: Arc<TempDir>, protection: Protection, limits: Limits) -> Self {
        let backend = open(folder.path());
        Self::on(folder, backend, (protection, Arc::new(Alone)), limits).await
    }

    pub async fn on(
        folder: Arc<TempDir>,
        backend: Arc<dyn Backend>,
        (protection, bus): (Protection, Arc<dyn Bus>),
        limits: Limits,
    ) -> Self {
        let mut settings = ServiceSettings::new(SERVICE);
        settings.clock = || Seconds(NOW.0);
        let service = Arc::new(Service::new(backend, settings).await.unwrap());
        let here = "127.0.0.1:0".parse().unwrap();
        let settings = ServerSettings { listen: here, admin: Some(here), protection, limits };
        let server = Server::bind(service, bus, settings).await.unwrap();
        let place = Place { address: server.address(), pin: server.fingerprint() };
        let admin = Place::plain(server.admin_address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { place, admin, folder, stop: Some(stop), running }
    }

    /// Tells the server to stop.
    pub fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has.
    pub async fn stopped(mut self) -> Arc<TempDir> {
        self.tell_to_stop();
        self.running.await.unwrap();
        self.folder
    }

    /// The metric of this line.
    pub async fn metric(&self, line: &str) -> u64 {
        let text = self.metrics().await;
        let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |value| value.parse().unwrap())
    }

    pub async fn metrics(&self) -> String {
        let request = hyper::Request::get("/metrics").header("host", "admin").body(Default::default());
        let reply = Net::http1(self.admin).await.send(request.unwrap()).await.unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    }
}

pub fn open(folder: &Path) -> Arc<dyn Backend> {
    Arc::new(SqliteBackend::open(&SqliteSettings::new(&folder.join("delivery.db"))).unwrap())
}

/// Waits until it is so; it must be soon.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} does not happen");
}
