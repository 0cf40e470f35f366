//! Bodies of requests and answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::server::App;
use crate::server::addresses::Origin;
use crate::server::budget::Held;
use crate::server::connection::{Pulse, Taking};
use crate::wire::{RefusalCode, Refused};

/// Reads a body: at most so many bytes, in time, and within what all requests together may hold.
pub(super) async fn read(
    app: &App,
    (origin, pulse): (Origin, &Pulse),
    mut body: Body,
    most: usize,
) -> Result<(Vec<u8>, Held), Refused> {
    let too_large = || Refused::new(RefusalCode::TOO_LARGE, "the body is larger than this request may be");
    // What is announced is only announced: memory is taken as it comes.
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let (started, mut bytes, mut held) = (Instant::now(), Vec::new(), Held::nothing());
    let mut paid = 0_usize;
    while let Some(frame) = next(app, &mut body, started, bytes.len()).await? {
        let Ok(data) = frame.into_data() else { continue };
        pulse.beat();
        if data.len() > most.saturating_sub(bytes.len()) {
            return Err(too_large());
        }
        held.merge(app.requests.take(origin, data.len()).ok_or_else(|| {
            app.metrics.turn_away("bytes of requests");
            Refused::new(RefusalCode::TOO_MANY, "the service has too much to do: try again")
                .after(Duration::from_secs(1))
        })?);
        bytes.extend_from_slice(&data);
        while bytes.len().saturating_sub(paid) >= PIECE {
            paid = paid.saturating_add(PIECE);
            app.take(origin, 1)?;
        }
    }
    Ok((bytes, held))
}

/// So much of a body costs as much as a request.
const PIECE: usize = 256 << 10;

async fn next(
    app: &App,
    body: &mut Body,
    started: Instant,
    so_far: usize,
) -> Result<Option<Frame<Bytes>>, Refused> {
    let slow =
        || Refused::new(RefusalCode::TOO_SLOW, "the body does not come: see the connection, try again");
    let limits = &app.limits;
    let due = u64::try_from(so_far).unwrap_or(u64::MAX) / u64::from(limits.body_rate.max(1));
    let whole = Duration::from_secs(due).saturating_add(limits.body_pause);
    let left = whole.saturating_sub(started.elapsed()).min(limits.body_pause);
    let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    match tokio::time::timeout(left, frame).await {
        Err(_) => Err(slow()),
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(Some(Err(_))) => Err(Refused::new(RefusalCode::MALFORMED, "the body was cut off")),
    }
}

/// An answer's body, given out in pieces, so that it is seen whether somebody takes it.
pub(super) struct AnswerBody {
    left: Bytes,
    taking: Taking,
    _held: Held,
}

impl AnswerBody {
    pub(super) fn new(bytes: Vec<u8>, pulse: &Arc<Pulse>, held: Held) -> Self {
        Self { left: Bytes::from(bytes), taking: pulse.answer(), _held: held }
    }
}

const AT_ONCE: usize = 64 << 10;

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taking.moved();
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.left.len().min(AT_ONCE);
        let piece = self.left.split_to(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left.len()).unwrap_or(u64::MAX))
    }
}
