//! Requests as HTTP carries them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64ct::{Base64UrlUnpadded, Encoding};
use hushwood_codec::Encode;

use crate::server::addresses::Origin;
use crate::server::body::{self, AnswerBody};
use crate::server::budget::Held;
use crate::server::connection::{Place, Pulse};
use crate::server::{App, Wake, admin, stream};
use crate::wire::{
    Access, Answer, Call, CallKind, CommitAnswer, MEDIA_TYPE, Refusal, RefusalCode, Refused, STREAM_PATH,
    SendAnswer,
};

/// Whose connection a request came on.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) place: Arc<Place>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) address: IpAddr,
}

impl Peer {
    /// Where a request came from: the proxy says so, or the connection.
    pub(super) fn origin(&self, app: &App, headers: &HeaderMap) -> Origin {
        if !app.forwarded {
            return self.place.origin();
        }
        // Whatever stands before the last one the client may have written itself.
        let last = headers.get_all("x-forwarded-for").iter().next_back();
        let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        app.addresses.origin(Some(last.unwrap_or(self.address)))
    }
}

/// All paths.
pub(super) fn routes(app: &Arc<App>) -> Router {
    let mut routes = Router::new().route("/health", get(health)).route(STREAM_PATH, any(stream::open));
    for kind in CallKind::ALL {
        let call = move |app, peer, request| call(*kind, app, peer, request);
        routes = routes.route(kind.path(), post(call));
    }
    routes.fallback(nowhere).method_not_allowed_fallback(other_method).with_state(app.clone())
}

/// Counts a request that is none of [`CallKind`]; gives what to say if there are too many.
fn counted(app: &Arc<App>, peer: &Peer, headers: &HeaderMap) -> Option<Response> {
    app.take(peer.origin(app, headers), 1).err().map(|refused| refusal(&refused))
}

async fn nowhere(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    counted(&app, &peer, &headers).unwrap_or_else(|| {
        let text = "no such path: version 1 of the interface is at /v1/";
        refusal(&Refused::new(RefusalCode::NOT_FOUND, text))
    })
}

async fn other_method(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    counted(&app, &peer, &headers).unwrap_or_else(|| {
        let refused = Refused::new(RefusalCode::MALFORMED, "requests are sent with POST");
        with_status(StatusCode::METHOD_NOT_ALLOWED, &refused)
    })
}

async fn health(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match counted(&app, &peer, &headers) {
        Some(refused) => refused,
        None => admin::health(State(app)).await.into_response(),
    }
}

async fn call(
    kind: CallKind,
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let started = Instant::now();
    // What has come in whole is carried out, even if its connection is gone before anybody looks at it.
    let answered = app.tasks.spawn(answer(app.clone(), peer.clone(), kind, request));
    let answered = answered.await.unwrap_or_else(|_| Err(failed()));
    let response = match answered {
        Ok((answer, held)) => {
            let answer = AnswerBody::new(answer, &peer.pulse, held);
            (headers(), Body::new(answer)).into_response()
        }
        Err(refused) => refusal(&refused),
    };
    let (status, time) = (response.status().as_u16(), started.elapsed());
    app.metrics.request(kind, status, time);
    tracing::debug!(call = kind.name(), status, ?time, "request");
    response
}

async fn answer(
    app: Arc<App>,
    peer: Peer,
    kind: CallKind,
    request: Request,
) -> Result<(Vec<u8>, Held), Refused> {
    let app = &app;
    if app.stopping.is_cancelled() {
        return Err(stopping());
    }
    let (head, body) = request.into_parts();
    let origin = peer.origin(app, &head.headers);
    app.take(origin, 1)?;
    let media_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    // A web page can't make somebody's browser send this without being asked first.
    if media_type != Some(MEDIA_TYPE.as_bytes()) {
        return Err(Refused::new(RefusalCode::MALFORMED, format!("the content type is {MEDIA_TYPE}")));
    }
    let token = match kind.access() {
        Access::Open => None,
        Access::Device => Some(token(&head.headers)?),
    };
    // A body may be large: only who is known brings one.
    if let Some(token) = &token {
        app.service.device(token).map_err(|refusal| Refused::from(&refusal))?;
    }
    let (body, held) = body::read(app, (origin, &peer.pulse), body, kind.max_body()).await?;
    if is_kept(kind) {
        app.keep(origin, body.len())?;
    }
    let request_size = body.len();
    let call = decode(kind, body).await?;
    if let Call::Register(registration) = &call
        && registration.authorization.is_none()
    {
        app.register(origin)?;
    }
    let _working = peer.pulse.work();
    let _check = match takes_long(kind) {
        true => Some(app.addresses.check(origin).ok_or_else(|| {
            app.metrics.turn_away("checks of an address");
            busy()
        })?),
        false => None,
    };
    let answer = carry_out(app, call, token, held).await?;
    app.metrics.bytes(request_size, answer.len());
    let held = app.answers.take(origin, answer.len()).ok_or_else(|| {
        app.metrics.turn_away("bytes of answers");
        // Asked again, the answer is the same.
        Refused { may_have_happened: true, ..busy() }
    })?;
    Ok((answer, held))
}

/// Whether what is brought may take long to check.
fn takes_long(kind: CallKind) -> bool {
    matches!(kind, CallKind::Commit | CallKind::CreateGroup | CallKind::Propose | CallKind::Publish)
}

/// Whether what is brought stays: it takes room on the disk.
fn is_kept(kind: CallKind) -> bool {
    takes_long(kind) || kind == CallKind::Send
}

/// What stands in a body. A large one is read away from the threads that serve everybody.
async fn decode(kind: CallKind, body: Vec<u8>) -> Result<Call, Refused> {
    const LARGE: usize = 256 << 10;
    let large = body.len() > LARGE;
    let decode = move || Call::from_body(kind, &body);
    let call = match large {
        true => tokio::task::spawn_blocking(decode).await.map_err(|_| failed())?,
        false => decode(),
    };
    call.map_err(|error| Refused::new(RefusalCode::MALFORMED, error.to_string()))
}

async fn carry_out(app: &App, call: Call, token: Option<Vec<u8>>, held: Held) -> Result<Vec<u8>, Refused> {
    let (kind, group_id) = (call.kind(), written(&call));
    let answered = app.service.call(call, token.as_deref()).await;
    drop(held);
    match answered {
        Ok(answer) => {
            if let (Some(group_id), Some(head)) = (group_id, number(&answer)) {
                app.wake(&Wake::Group { group_id, head });
            }
            encode(kind, answer).await
        }
        Err(refusal) => {
            if let Refusal::Failed(error) = &refusal {
                tracing::error!(call = kind.name(), %error, "the back end failed");
            }
            Err(Refused::from(&refusal))
        }
    }
}

/// An answer's body. A large one is encoded away from the threads that serve everybody.
async fn encode(kind: CallKind, answer: Answer) -> Result<Vec<u8>, Refused> {
    const LARGE: usize = 1 << 20;
    let body = match kind.max_answer() > LARGE {
        true => tokio::task::spawn_blocking(move || answer.to_body()).await.map_err(|_| failed())?,
        false => answer.to_body(),
    };
    body.or(Err(Refused::new(RefusalCode::TOO_LARGE, "the answer is too large")))
}

/// The group whose log grows by this, if it succeeds.
fn written(call: &Call) -> Option<Vec<u8>> {
    match call {
        Call::Commit(request) => Some(request.group_id.clone()),
        Call::Send(request) => Some(request.group_id.clone()),
        Call::Propose(request) => Some(request.group_id.clone()),
        _ => None,
    }
}

/// The number of what was written.
fn number(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Commit(CommitAnswer::Accepted(number))
        | Answer::Send(SendAnswer::Accepted(number))
        | Answer::Propose(SendAnswer::Accepted(number)) => Some(*number),
        _ => None,
    }
}

/// The token of a request.
pub(super) fn token(headers: &HeaderMap) -> Result<Vec<u8>, Refused> {
    let refused = || Refused::new(RefusalCode::UNAUTHORIZED, "no token: log in");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(refused)?;
    let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(refused)?;
    Base64UrlUnpadded::decode_vec(token).or(Err(refused()))
}

pub(super) fn stopping() -> Refused {
    Refused::new(RefusalCode::STOPPING, "the service is about to stop: try again")
        .after(Duration::from_secs(1))
}

fn busy() -> Refused {
    Refused::new(RefusalCode::TOO_MANY, "the service has too much to do: try again")
        .after(Duration::from_secs(1))
}

/// A fault in the service itself: a thread of it has gone.
fn failed() -> Refused {
    let refused = Refused::new(RefusalCode::FAILED, "the service has a fault: ask again");
    Refused { may_have_happened: true, ..refused }.after(Duration::from_secs(10))
}

/// A refusal as a response.
pub(super) fn refusal(refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_status(status, refused)
}

fn with_status(status: StatusCode, refused: &Refused) -> Response {
    let mut headers = headers();
    if let Some(time) = refused.retry_after {
        let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // A text is short.
    let body = refused.to_bytes().unwrap_or_default();
    (status, headers, body).into_response()
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}
