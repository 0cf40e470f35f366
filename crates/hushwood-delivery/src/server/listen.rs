//! Connections: accepted as long as there is room, and closed when they are silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::server::connection::{Place, Pulse};
use crate::server::http::{self, Peer};
use crate::server::tls::Tls;
use crate::server::{App, Limits};

/// Accepts connections; does not end.
pub(super) async fn serve(app: &Arc<App>, listener: TcpListener, tls: Option<Tls>) {
    let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config));
    let routes = http::routes(app);
    let http = Arc::new(builder(&app.limits));
    loop {
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of one connection, or no more files can be opened: others may go away.
                tracing::warn!(%error, "a connection can't be accepted");
                app.metrics.turn_away("accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let origin = app.addresses.origin((!app.forwarded).then_some(address.ip()));
        // A handshake costs more than most requests.
        if app.take(origin, 1).is_err() {
            continue;
        }
        let place = match Place::take(app, origin) {
            Ok(place) => place,
            Err(why) => {
                app.metrics.turn_away(why);
                continue;
            }
        };
        let one = Connection { app: app.clone(), place, address, routes: routes.clone(), http: http.clone() };
        app.tasks.spawn(one.serve(socket, acceptor.clone()));
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // A client that has said all may close its side and wait.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.greeting)
        .max_buf_size(64 << 10)
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(16 << 10)
        .initial_stream_window_size(128 << 10)
        .initial_connection_window_size(512 << 10)
        .max_send_buf_size(128 << 10)
        .enable_connect_protocol();
    builder
}

struct Connection {
    app: Arc<App>,
    place: Arc<Place>,
    address: SocketAddr,
    routes: Router,
    http: Arc<Builder<TokioExecutor>>,
}

impl Connection {
    async fn serve(self, socket: TcpStream, acceptor: Option<TlsAcceptor>) {
        // Small frames are what somebody waits for.
        let _ = socket.set_nodelay(true);
        let Some(acceptor) = acceptor else { return self.speak(socket).await };
        let greeting = self.app.limits.greeting;
        let cut = self.app.cut.clone();
        let hands = tokio::select! {
            hands = tokio::time::timeout(greeting, acceptor.accept(socket)) => hands,
            () = cut.cancelled() => return,
        };
        match hands {
            Ok(Ok(socket)) => self.speak(socket).await,
            Ok(Err(_)) => self.app.metrics.turn_away("TLS handshake"),
            Err(_) => self.app.metrics.turn_away("TLS handshake too slow"),
        }
    }

    async fn speak(self, socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let Self { app, place, address, routes, http } = self;
        let pulse = Pulse::new();
        let peer = Peer { place, pulse: pulse.clone(), address: address.ip() };
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            peer.pulse.request();
            request.extensions_mut().insert(peer.clone());
            TowerToHyperService::new(routes.clone()).call(request.map(Body::new))
        });
        let connection = http.serve_connection_with_upgrades(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        let (greeting, silence) = (app.limits.greeting, app.limits.silence);
        let look = (greeting.min(silence) / 4).clamp(Duration::from_millis(20), Duration::from_secs(5));
        let (mut look, mut ending) = (tokio::time::interval(look), false);
        loop {
            tokio::select! {
                // What is wrong with a connection is its client's to know.
                _ = connection.as_mut() => return,
                () = app.cut.cancelled() => return,
                () = app.stopping.cancelled(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = look.tick() => {
                    if !pulse.is_silent(greeting, silence) {
                        continue;
                    }
                    if ending {
                        return;
                    }
                    app.metrics.turn_away("silent");
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
