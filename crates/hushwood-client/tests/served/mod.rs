//! A delivery service on a network, and what is between it and a client.

#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hushwood_client::transport::{BlockingHttp, Http, ServerTrust, StreamHandle, StreamListener};
use hushwood_client::{
    Answer, Call, Client, EventKind, Identity, Invitations, Provider, Settings, Transport, TransportError,
    Trust,
};
use hushwood_delivery::backend::{SqliteBackend, SqliteSettings};
use hushwood_delivery::server::{Alone, Limits, Protection, Server, ServerSettings};
use hushwood_delivery::service::{Service, ServiceSettings};
use hushwood_rustcrypto::OsRandom;
use hushwood_store::MemoryStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub const SERVICE: &str = "localhost";

/// A server in a runtime of its own.
pub struct Served {
    folder: TempDir,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    pub address: SocketAddr,
    pub fingerprint: Option<[u8; 32]>,
}

impl Served {
    pub fn new(protected: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let mut served = Self {
            folder,
            runtime: None,
            stop: None,
            address: "127.0.0.1:0".parse().unwrap(),
            fingerprint: None,
        };
        served.start(protected);
        served
    }

    pub fn start(&mut self, protected: bool) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let path = self.folder.path().to_path_buf();
        let listen = self.address;
        let server = runtime.block_on(async move {
            let backend = SqliteBackend::open(&SqliteSettings::new(&path.join("delivery.db"))).unwrap();
            let service = Service::new(Arc::new(backend), ServiceSettings::new(SERVICE)).await.unwrap();
            let protection = match protected {
                true => Protection::OwnCertificate(path),
                false => Protection::Plain { forwarded: false },
            };
            let settings = ServerSettings { listen, admin: None, protection, limits: Limits::default() };
            Server::bind(Arc::new(service), Arc::new(Alone), settings).await.unwrap()
        });
        self.address = server.address();
        self.fingerprint = server.fingerprint().map(|fingerprint| fingerprint.0);
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(server.run(async move {
            drop(stopped.await);
        }));
        self.runtime = Some(runtime);
        self.stop = Some(stop);
    }

    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    pub fn transport(&self) -> BlockingHttp {
        let (address, trust) = self.place();
        BlockingHttp::new(&address, &trust).unwrap()
    }

    pub fn http(&self) -> Http {
        let (address, trust) = self.place();
        Http::new(&address, &trust).unwrap()
    }

    fn place(&self) -> (String, ServerTrust) {
        match self.fingerprint {
            Some(fingerprint) => (format!("https://{}", self.address), ServerTrust::Fingerprint(fingerprint)),
            None => (format!("http://{}", self.address), ServerTrust::Unprotected),
        }
    }
}

pub fn provider() -> Provider {
    Provider::new(hushwood_rustcrypto::PROVIDER, OsRandom)
}

pub fn identity(person: &str) -> Identity {
    Identity { person: person.to_owned(), service: SERVICE.to_owned() }
}

/// Settings of somebody who comes when invited.
pub fn settings() -> Settings {
    Settings { invitations: Invitations::All, patience: Duration::from_secs(20), ..Settings::default() }
}

pub fn client<T: Transport>(person: &str, settings: Settings, transport: T) -> Client<T> {
    let store = Box::new(MemoryStore::new());
    let (identity, trust) = (identity(person), Trust::on_first_use());
    Client::open_with(store, provider(), &identity, trust, (settings, transport)).unwrap()
}

/// The next text that somebody is told, with what comes before it.
pub fn text<T: Transport>(client: &Client<T>) -> Option<String> {
    loop {
        let events = client.wait(Duration::from_secs(10)).unwrap();
        client.acknowledge(&events).unwrap();
        if events.is_empty() {
            return None;
        }
        let mut texts = events.into_iter().filter_map(|event| match event.kind {
            EventKind::Message(message) => Some(String::from_utf8(message.body).unwrap()),
            _ => None,
        });
        if let Some(text) = texts.next() {
            assert_eq!(texts.next(), None, "one at a time");
            return Some(text);
        }
    }
}

/// A transport that counts its calls.
pub struct Counted {
    pub transport: BlockingHttp,
    pub calls: Arc<AtomicUsize>,
}

impl Counted {
    pub fn new(transport: BlockingHttp) -> (Self, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        (Self { transport, calls: calls.clone() }, calls)
    }
}

impl Transport for Counted {
    fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, TransportError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.transport.call(call, token)
    }

    fn listen(&self, listener: StreamListener) -> Option<StreamHandle> {
        self.transport.listen(listener)
    }
}

/// A network that can be cut.
pub struct Network {
    pub address: SocketAddr,
    is_up: Arc<AtomicBool>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Network {
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Self {
            address: listener.local_addr().unwrap(),
            is_up: Arc::new(AtomicBool::new(true)),
            sockets: Arc::default(),
        };
        let (is_up, sockets) = (network.is_up.clone(), network.sockets.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if !is_up.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    carry(from.try_clone().unwrap(), to.try_clone().unwrap());
                }
                sockets.lock().unwrap().extend([client, server]);
            }
        });
        network
    }

    pub fn transport(&self) -> BlockingHttp {
        BlockingHttp::new(&format!("http://{}", self.address), &ServerTrust::Unprotected).unwrap()
    }

    pub fn cut(&self) {
        self.is_up.store(false, Ordering::SeqCst);
        for socket in self.sockets.lock().unwrap().drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    pub fn mend(&self) {
        self.is_up.store(true, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    });
}
