//! What an operator asks: is it well, and what does it do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};

use crate::server::App;
use crate::server::metrics::TEXT;

/// Whether the back end answers, asked once in a while however often somebody wants to know.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<(Instant, bool)>>);

const FRESH: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// `{"status":"ok"}`, or 503: stopping, or the back end does not answer.
pub(super) async fn health(State(app): State<Arc<App>>) -> impl IntoResponse {
    let (code, status) = match () {
        () if app.stopping.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        () if is_well(&app).await => (StatusCode::OK, "ok"),
        () => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (code, kind, format!("{{\"status\":\"{status}\"}}\n"))
}

async fn is_well(app: &App) -> bool {
    let mut known = app.health.0.lock().await;
    if let Some((at, well)) = *known
        && at.elapsed() < FRESH
    {
        return well;
    }
    let asked = tokio::time::timeout(PATIENCE, app.service.backend().head(b"health")).await;
    let well = matches!(asked, Ok(Ok(_)));
    *known = Some((Instant::now(), well));
    well
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.metrics.hold(app.requests.held(), app.answers.held(), app.streams.held());
    ([(header::CONTENT_TYPE, TEXT)], app.metrics.text())
}

/// Serves the operator, without TLS, until the server stops.
pub(super) async fn serve(app: Arc<App>, listener: TcpListener) {
    /// Whoever looks is one or two programs.
    const CONNECTIONS: usize = 16;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let routes = Router::new().route("/health", get(health)).route("/metrics", get(metrics));
    let service = TowerToHyperService::new(routes.with_state(app.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.stopping.cancelled() => return,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (service, stopping) = (service.clone(), app.stopping.clone());
        app.tasks.spawn(async move {
            let _place = place;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                _ = connection => {}
                () = stopping.cancelled() => {}
            }
        });
    }
}
