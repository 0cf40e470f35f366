//! The service's stream as a WebSocket (RFC 6455), on a connection of its own.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, Limited};
use hushwood_codec::{Decode, Encode};
use hushwood_delivery::wire::{ClientFrame, MAX_SERVER_FRAME, MEDIA_TYPE, Refused, STREAM_PATH, ServerFrame};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::transport::http::{MAX_REFUSAL, failure};
use crate::transport::{StreamEvent, StreamHandle, StreamListener, TransportError};

/// Who makes connections for streams: of HTTP/1.1, which a WebSocket can take over.
pub(super) type Connections = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Opens a stream in a task of its own, which ends with its handle.
pub(super) fn begin(
    connections: Connections,
    base: String,
    runtime: &Handle,
    mut listener: StreamListener,
) -> StreamHandle {
    let (say, mut frames) = unbounded_channel();
    runtime.spawn(async move {
        let opened = tokio::select! {
            opened = timeout(OPENING, open(&connections, &base)) => opened,
            // Nothing is said before it is open: the handle was dropped.
            _ = frames.recv() => return,
        };
        let ended = match opened {
            Ok(Ok(socket)) => {
                listener.tell(StreamEvent::Open);
                converse(socket, &mut frames, &mut listener).await
            }
            Ok(Err(error)) => Some(error),
            Err(_) => Some(TransportError::Unknown("it takes too long".to_owned())),
        };
        if let Some(why) = ended {
            listener.tell(StreamEvent::Closed(why));
        }
    });
    // The task may have ended: then it has said why, or will not.
    StreamHandle::new(move |frame| drop(say.send(frame)))
}

async fn open(connections: &Connections, base: &str) -> Result<Socket, TransportError> {
    let key = generate_key();
    let request = Request::get(format!("{base}{STREAM_PATH}"))
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .body(Empty::new());
    let request = request.or(Err(TransportError::Garbled("the address is none")))?;
    let response = connections.request(request).await.map_err(|error| failure(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(response).await);
    }
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
        return Err(TransportError::Garbled("no stream"));
    }
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded = upgraded.map_err(|error| TransportError::Unknown(error.to_string()))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_SERVER_FRAME))
        .max_frame_size(Some(MAX_SERVER_FRAME));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await)
}

/// Why there is no stream.
async fn refusal(response: Response<Incoming>) -> TransportError {
    let (head, body) = response.into_parts();
    let is_ours = head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == MEDIA_TYPE);
    let body = Limited::new(body, MAX_REFUSAL).collect().await.map(|body| body.to_bytes());
    match body.ok().filter(|_| is_ours).map(|body| Refused::from_bytes(&body)) {
        Some(Ok(refused)) => TransportError::Refused(refused),
        _ if head.status.is_server_error() => {
            TransportError::Unknown(format!("status {}", head.status.as_u16()))
        }
        _ => TransportError::Garbled("no stream"),
    }
}

/// Carries frames until it ends: why, or nothing if it is we who end it.
async fn converse(
    mut socket: Socket,
    frames: &mut UnboundedReceiver<ClientFrame>,
    listener: &mut StreamListener,
) -> Option<TransportError> {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            frame = frames.recv() => match frame {
                // Nothing that a client says is too long to be encoded.
                Some(frame) => Message::Binary(frame.to_bytes().unwrap_or_default().into()),
                None => {
                    drop(timeout(WRITE, socket.close(None)).await);
                    return None;
                }
            },
            message = socket.next() => {
                heard = Instant::now();
                match frame(message) {
                    Ok(Some(frame)) => listener.tell(StreamEvent::Frame(frame)),
                    Ok(None) => {}
                    Err(why) => return Some(why),
                }
                continue;
            }
            _ = pings.tick() => match heard.elapsed() > SILENCE {
                true => return Some(TransportError::Unknown("nothing is heard".to_owned())),
                false => Message::Ping(Bytes::new()),
            },
        };
        match timeout(WRITE, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(TransportError::Unknown(error.to_string())),
            Err(_) => return Some(TransportError::Unknown("nothing is taken".to_owned())),
        }
    }
}

/// What the service has said, if that was a frame.
fn frame(
    message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
) -> Result<Option<ServerFrame>, TransportError> {
    match message {
        Some(Ok(Message::Binary(bytes))) => match ServerFrame::from_message(&bytes) {
            Ok(frame) => Ok(Some(frame)),
            Err(_) => Err(TransportError::Garbled("a frame that can't be read")),
        },
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => Err(TransportError::Garbled("text where frames belong")),
        Some(Ok(Message::Close(_))) | None => {
            Err(TransportError::Unknown("the stream was closed".to_owned()))
        }
        Some(Err(error)) => Err(TransportError::Unknown(error.to_string())),
    }
}

/// How long it may take to open a stream.
const OPENING: Duration = Duration::from_secs(20);
/// How long a frame may take to be taken.
const WRITE: Duration = Duration::from_secs(20);
/// How often the service is asked whether it is there.
const PING: Duration = Duration::from_secs(40);
/// After so long without a word the stream is dead.
const SILENCE: Duration = Duration::from_secs(100);
