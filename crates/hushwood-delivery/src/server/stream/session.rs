//! One WebSocket: what its client has asked for, and what it is sent.
//!
//! A batch of frames is put together when the one before has been taken by the socket, and not before. So a client that reads
//! slowly costs one batch, and a mark for each subscription.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hushwood_codec::Encode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::server::App;
use crate::server::addresses::Origin;
use crate::server::budget::Held;
use crate::server::bus::Mailbox;
use crate::server::http::Peer;
use crate::server::stream::End;
use crate::server::stream::reading::{Next, PAGE_BYTES, Reading, told};
use crate::service::{Device, Subscribed};
use crate::wire::{ClientFrame, RefusalCode, Refused, ServerFrame, Subscribe};

/// One WebSocket.
pub(super) struct Session {
    app: Arc<App>,
    peer: Peer,
    origin: Origin,
    mailbox: Arc<Mailbox>,
    readings: BTreeMap<u32, Reading>,
    /// Subscriptions of which there may be more to say.
    due: BTreeSet<u32>,
    /// The subscription that had its turn last.
    turn: u32,
    credit: u64,
    replies: VecDeque<ServerFrame>,
    device: Option<(Device, Vec<u8>)>,
    inbox: bool,
    heard: Instant,
    /// When it last had something that it has asked for.
    wanted: Instant,
    ping: bool,
}

/// Frames that are written together.
struct Batch {
    messages: Vec<Message>,
    /// That there is no other.
    _slot: OwnedSemaphorePermit,
    _held: Held,
}

/// Replies that may wait before no more is read of what the client says.
const MOST_REPLIES: usize = 32;

impl Session {
    pub(super) fn new(app: Arc<App>, peer: Peer, origin: Origin) -> Self {
        app.metrics.streams.inc();
        Self {
            app,
            peer,
            origin,
            mailbox: Arc::default(),
            readings: BTreeMap::new(),
            due: BTreeSet::new(),
            turn: 0,
            credit: 0,
            replies: VecDeque::new(),
            device: None,
            inbox: false,
            heard: Instant::now(),
            wanted: Instant::now(),
            ping: false,
        }
    }

    pub(super) async fn run(mut self, socket: WebSocket) {
        let (sink, mut frames) = socket.split();
        let (batches, to_write) = mpsc::channel(1);
        let writer = write(self.app.clone(), self.peer.clone(), sink, to_write);
        let mut writer = self.app.tasks.spawn(writer);
        let slot = Arc::new(Semaphore::new(1));
        let end = tokio::select! {
            end = self.converse(&mut frames, &batches, &slot) => end,
            _ = &mut writer => End::Gone,
        };
        if let Some(frame) = end.frame()
            && let Ok(permit) = slot.acquire_owned().await
        {
            let messages = vec![Message::Close(Some(frame))];
            drop(batches.send(Batch { messages, _slot: permit, _held: Held::nothing() }).await);
        }
        drop(batches);
        let patience = self.app.limits.stalled_write.min(Duration::from_secs(1));
        if end != End::Gone {
            // The client's own word that it has heard the last one.
            let _ = timeout(patience, async { while let Some(Ok(_)) = frames.next().await {} }).await;
            let _ = timeout(patience, &mut writer).await;
        }
        writer.abort();
    }

    async fn converse(
        &mut self,
        frames: &mut SplitStream<WebSocket>,
        batches: &mpsc::Sender<Batch>,
        slot: &Arc<Semaphore>,
    ) -> End {
        let app = self.app.clone();
        let often = (app.limits.silence / 3).max(Duration::from_millis(10));
        let mut pings = interval(often);
        let mut looks = interval((app.limits.idle_stream / 3).clamp(Duration::from_millis(10), often));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mailbox = self.mailbox.clone();
        loop {
            let has_something = self.has_something();
            tokio::select! {
                () = app.stopping.cancelled() => return End::Stopping,
                frame = frames.next(), if self.replies.len() < MOST_REPLIES => {
                    let Some(Ok(message)) = frame else { return End::Gone };
                    if let Err(end) = self.hear(message).await {
                        return end;
                    }
                }
                permit = slot.clone().acquire_owned(), if has_something => {
                    let Ok(permit) = permit else { return End::Gone };
                    let (messages, held) = tokio::select! {
                        composed = self.compose() => composed,
                        () = app.stopping.cancelled() => return End::Stopping,
                    };
                    let batch = Batch { messages, _slot: permit, _held: held };
                    if !batch.messages.is_empty() && batches.send(batch).await.is_err() {
                        return End::Gone;
                    }
                }
                () = mailbox.changed() => {
                    let marks = mailbox.take();
                    self.due.extend(marks.moved);
                    self.inbox |= marks.inbox;
                }
                _ = looks.tick() => {
                    if self.is_idle() {
                        app.metrics.turn_away("stream without a subscription");
                        return End::Idle;
                    }
                }
                _ = pings.tick() => {
                    if self.heard.elapsed() > app.limits.silence {
                        return End::Gone;
                    }
                    self.ping = true;
                }
            }
        }
    }

    /// Whether it has had nothing that it has asked for, for too long. What a token was good for ends with it.
    fn is_idle(&mut self) -> bool {
        if self.device.as_ref().is_some_and(|(_, token)| self.app.service.device(token).is_err()) {
            self.unwatch();
        }
        if !self.readings.is_empty() || self.device.is_some() {
            self.wanted = Instant::now();
        }
        self.wanted.elapsed() > self.app.limits.idle_stream
    }

    /// What the client says.
    async fn hear(&mut self, message: Message) -> Result<(), End> {
        self.heard = Instant::now();
        self.peer.pulse.beat();
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Text(_) => return Err(End::Malformed),
            Message::Close(_) => return Err(End::Gone),
        };
        match ClientFrame::from_message(&bytes).or(Err(End::Malformed))? {
            ClientFrame::Subscribe(subscribe) => {
                let number = subscribe.number;
                if let Err(refused) = self.subscribe(subscribe).await {
                    self.replies.push_back(ServerFrame::Refused { number: Some(number), refused });
                }
            }
            ClientFrame::Unsubscribe { number } => {
                drop(self.forget(number));
            }
            ClientFrame::Credit { entries } => {
                self.credit = self.credit.saturating_add(entries.into()).min(u32::MAX.into());
                let behind = self.readings.values().filter(|reading| reading.is_behind());
                self.due.extend(behind.map(|reading| reading.number));
            }
            ClientFrame::Ack { number, sequence } => {
                if let Some(reading) = self.readings.get_mut(&number) {
                    reading.acknowledge(&self.app, sequence);
                }
            }
            ClientFrame::Ping { payload } => self.replies.push_back(ServerFrame::Pong { payload }),
            ClientFrame::Device { token } => {
                if let Err(refused) = self.watch(token).await {
                    self.replies.push_back(ServerFrame::Refused { number: None, refused });
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Refused> {
        let number = subscribe.number;
        self.app.take(self.origin, 1)?;
        if self.readings.contains_key(&number) {
            return Err(Refused::new(RefusalCode::MALFORMED, "this number is another subscription's"));
        }
        if self.readings.len() >= self.app.limits.subscriptions {
            return Err(Refused::new(RefusalCode::TOO_LARGE, "too many subscriptions: open another stream"));
        }
        // First the hints, then the head: nothing falls between them.
        let subscription = self.app.hub.subscribe(&subscribe.group_id, (&self.mailbox, number));
        let subscribed = self.app.service.subscribe(&subscribe).await;
        let Subscribed { reader, after, head } = subscribed.map_err(|refusal| told(&refusal))?;
        subscription.topic().begin(reader.incarnation(), head);
        self.replies.push_back(ServerFrame::Subscribed { number, head });
        self.readings.insert(number, Reading::new(number, reader, subscription, after));
        self.app.metrics.subscriptions.inc();
        self.due.insert(number);
        Ok(())
    }

    async fn watch(&mut self, token: Vec<u8>) -> Result<(), Refused> {
        self.app.take(self.origin, 1)?;
        // First the hints, then the look: nothing falls between them. Of a token that is no good nobody hears.
        let device = self.app.service.device(&token).map_err(|refusal| told(&refusal))?;
        self.unwatch();
        self.app.hub.watch(device, &self.mailbox);
        match self.app.service.watch(&token).await {
            Ok((device, waiting)) => {
                self.device = Some((device, token));
                self.inbox |= waiting;
                Ok(())
            }
            Err(refusal) => {
                self.app.hub.unwatch(device, &self.mailbox);
                Err(told(&refusal))
            }
        }
    }

    fn unwatch(&mut self) {
        if let Some((device, _)) = self.device.take() {
            self.app.hub.unwatch(device, &self.mailbox);
        }
    }

    fn forget(&mut self, number: u32) -> Option<Reading> {
        self.due.remove(&number);
        let reading = self.readings.remove(&number)?;
        self.app.metrics.subscriptions.dec();
        Some(reading)
    }

    fn has_something(&self) -> bool {
        self.ping || self.inbox || !self.replies.is_empty() || !self.due.is_empty()
    }

    /// The next batch: what the client waits for first, then entries as far as there is credit, or hints where there is none.
    async fn compose(&mut self) -> (Vec<Message>, Held) {
        let mut messages = Vec::new();
        if std::mem::take(&mut self.ping) {
            messages.push(Message::Ping(Vec::new().into()));
        }
        while let Some(reply) = self.replies.pop_front() {
            push(&mut messages, &reply);
        }
        if std::mem::take(&mut self.inbox)
            && let Some((_, token)) = &self.device
        {
            match self.app.service.device(token) {
                Ok(_) => push(&mut messages, &ServerFrame::Inbox),
                Err(refusal) => {
                    push(&mut messages, &ServerFrame::Refused { number: None, refused: told(&refusal) });
                    self.unwatch();
                }
            }
        }
        let mut held = Held::nothing();
        if self.credit > 0 {
            held = self.entries(&mut messages).await;
        } else {
            for number in std::mem::take(&mut self.due) {
                let Some(reading) = self.readings.get_mut(&number) else { continue };
                match reading.hint(&self.app).await {
                    Ok(Some(head)) => {
                        push(&mut messages, &ServerFrame::Hint { number, head });
                        self.app.metrics.hints.inc();
                    }
                    Ok(None) => {}
                    Err(refused) => {
                        push(&mut messages, &ServerFrame::Refused { number: Some(number), refused });
                        drop(self.forget(number));
                    }
                }
            }
        }
        (messages, held)
    }

    /// Entries of the subscription whose turn it is.
    async fn entries(&mut self, messages: &mut Vec<Message>) -> Held {
        let next = self.due.range(self.turn.saturating_add(1)..).next().or(self.due.first()).copied();
        let Some(number) = next else { return Held::nothing() };
        self.turn = number;
        let waits = |reading: &&mut Reading| reading.is_behind() || reading.is_over();
        let Some(reading) = self.readings.get_mut(&number).filter(waits) else {
            self.due.remove(&number);
            return Held::nothing();
        };
        let mut room = PAGE_BYTES;
        let (frames, held) = loop {
            // Nothing is held while it waits for more.
            let held = self.app.streams.wait(self.origin, room).await;
            match reading.next(&self.app, self.credit, room).await {
                Ok(Next::Needs(more)) => room = more,
                Ok(Next::Frames(frames)) => break (frames, held),
                Err(refused) => {
                    push(messages, &ServerFrame::Refused { number: Some(number), refused });
                    drop(self.forget(number));
                    return Held::nothing();
                }
            }
        };
        if !reading.is_behind() && !reading.is_over() {
            self.due.remove(&number);
        }
        let sent = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        self.credit = self.credit.saturating_sub(sent);
        self.app.metrics.entries.inc_by(sent);
        messages.extend(frames.into_iter().map(|frame| Message::Binary(frame.into())));
        held
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.unwatch();
        self.app.metrics.streams.dec();
        let count = i64::try_from(self.readings.len()).unwrap_or(i64::MAX);
        self.app.metrics.subscriptions.dec_by(count);
    }
}

fn push(messages: &mut Vec<Message>, frame: &ServerFrame) {
    // Only what the server says itself comes here, which is short.
    if let Ok(bytes) = frame.to_bytes() {
        messages.push(Message::Binary(bytes.into()));
    }
}

/// Writes batches; ends when one is not taken in time.
async fn write(
    app: Arc<App>,
    peer: Peer,
    mut sink: SplitSink<WebSocket, Message>,
    mut batches: mpsc::Receiver<Batch>,
) {
    while let Some(Batch { messages, _slot, _held }) = batches.recv().await {
        let bytes = messages.iter().map(size).fold(0, u64::saturating_add);
        let by_size = Duration::from_secs(bytes / u64::from(app.limits.body_rate.max(1)));
        let patience = app.limits.stalled_write.saturating_add(by_size);
        let all = async {
            for message in messages {
                sink.feed(message).await?;
            }
            sink.flush().await
        };
        match timeout(patience, all).await {
            Ok(Ok(())) => peer.pulse.beat(),
            Ok(Err(_)) => return,
            Err(_) => {
                app.metrics.turn_away("stream not read");
                return;
            }
        }
    }
}

fn size(message: &Message) -> u64 {
    match message {
        Message::Binary(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    }
}
