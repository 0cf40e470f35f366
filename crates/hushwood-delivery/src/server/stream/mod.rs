//! The WebSocket: news of groups and inboxes, as fast as its reader takes them.

mod reading;
mod session;

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::server::App;
use crate::server::http::{Peer, refusal, stopping};
use crate::wire::{MAX_CLIENT_FRAME, RefusalCode, Refused};
use session::Session;

/// The most that is put together before it is given to the socket.
const WRITE_BUFFER: usize = 16 << 10;

/// A connection becomes a WebSocket.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return refusal(&Refused::new(RefusalCode::MALFORMED, "this is the place of a WebSocket"));
    };
    if app.stopping.is_cancelled() {
        return refusal(&stopping());
    }
    let origin = peer.origin(&app, &headers);
    if let Err(refused) = app.take(origin, 1) {
        return refusal(&refused);
    }
    // It is there before the server can stop without it.
    let task = app.tasks.token();
    upgrade
        .max_message_size(MAX_CLIENT_FRAME)
        .max_frame_size(MAX_CLIENT_FRAME)
        .read_buffer_size(4 << 10)
        .write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket: WebSocket| async move {
            let _task = task;
            Session::new(app, peer, origin).run(socket).await;
        })
}

/// Why a WebSocket ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// The client has gone, or does not take what is written, or says nothing.
    Gone,
    /// The client asks for nothing.
    Idle,
    /// The server stops.
    Stopping,
    /// What the client says is no frame.
    Malformed,
}

impl End {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone => return None,
            Self::Idle => (1008, "nothing is asked for here: connect again when there is something"),
            Self::Stopping => (1001, "the service is about to stop: connect again"),
            Self::Malformed => (1008, "not a frame of this interface"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}
