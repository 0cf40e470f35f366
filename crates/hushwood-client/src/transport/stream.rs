//! The service's stream, as a client and a transport see it.

use std::fmt;

use hushwood_delivery::wire::{ClientFrame, ServerFrame};

use crate::transport::TransportError;

/// What comes of a stream: that it is open, then frames, and that it is closed; nothing after that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamEvent {
    /// It is there, and takes frames.
    Open,
    /// The service has said something.
    Frame(ServerFrame),
    /// It could not be had, or has ended. Another one is asked for when it is time.
    Closed(TransportError),
}

/// Takes what comes of a stream.
pub struct StreamListener(Box<dyn FnMut(StreamEvent) + Send>);

impl StreamListener {
    /// Something that is told what comes.
    pub fn new(listener: impl FnMut(StreamEvent) + Send + 'static) -> Self {
        Self(Box::new(listener))
    }

    /// Tells it, from a task or thread of the transport: never in the middle of a call of the client's.
    pub fn tell(&mut self, event: StreamEvent) {
        (self.0)(event);
    }
}

/// A client's end of a stream. When it is dropped the stream ends.
pub struct StreamHandle(Box<dyn Fn(ClientFrame) + Send + Sync>);

impl StreamHandle {
    /// Something that sends frames, in order and later: it does not wait.
    pub fn new(say: impl Fn(ClientFrame) + Send + Sync + 'static) -> Self {
        Self(Box::new(say))
    }

    /// Sends a frame.
    pub fn say(&self, frame: ClientFrame) {
        (self.0)(frame);
    }
}

impl fmt::Debug for StreamListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamListener(..)")
    }
}

impl fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamHandle(..)")
    }
}
