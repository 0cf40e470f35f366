//! News from the service: what its stream is asked, what it says, and when to look where there is none.
//!
//! A stream brings hints alone: how far a room's log goes, and that something is in the inbox. What they tell of is read by
//! requests as ever, so that a hint may be late, come twice or be a lie. Whatever came while there was no stream, the next
//! one tells when it is asked: each room is named with the number that was read last.

use std::collections::BTreeMap;

use hushwood_delivery::wire::{ClientFrame, RefusalCode, Refused, ServerFrame};

use crate::core::Core;
use crate::core::backoff::{Backoff, pause};
use crate::error::Error;
use crate::records::Standing;
use crate::room::RoomId;
use crate::settings::{Millis, millis};
use crate::transport::{StreamEvent, TransportError};

/// What is known of the service's stream; only of this process.
#[derive(Default)]
pub(super) struct News {
    line: Line,
    /// When to try again to have one.
    backoff: Backoff,
    /// The number of the next subscription.
    next: u32,
    subscriptions: BTreeMap<RoomId, Subscription>,
    /// The token for which it tells of the inbox.
    told: Option<Vec<u8>>,
    /// When to ask again to be told of the inbox, if that was refused.
    inbox: Backoff,
    /// When to look without it.
    look_at: Millis,
    /// How often that was in vain.
    looks: u32,
    /// What had happened when it was looked for last.
    events: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Line {
    #[default]
    Closed,
    /// The transport has been asked for it.
    Begun,
    Open,
    /// The transport has none.
    Never,
}

#[derive(Default)]
struct Subscription {
    /// Its number, while it was asked for and not refused.
    number: Option<u32>,
    is_answered: bool,
    backoff: Backoff,
}

impl Core {
    /// Whether it is time to open the service's stream, for a host that waits for news.
    #[must_use]
    pub fn wants_stream(&self, now: Millis) -> bool {
        self.news.line == Line::Closed && self.news.backoff.until <= now
    }

    /// The stream is being opened: [`StreamEvent`]s are to follow. Until it is open, or closed again, nothing else opens one.
    pub fn stream_begun(&mut self, now: Millis) {
        self.news.line = Line::Begun;
        self.look_later(now);
    }

    /// There is no stream with this transport: [`look`](Self::look) is what there is.
    pub fn no_stream(&mut self) {
        self.news.line = Line::Never;
        self.news.look_at = Millis(0);
    }

    /// What the stream is to be told now, in order.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn stream_frames(&mut self, now: Millis) -> Result<Vec<ClientFrame>, Error> {
        let mut frames = Vec::new();
        if self.news.line != Line::Open {
            return Ok(frames);
        }
        self.refresh()?;
        self.tell_device(now, &mut frames);
        let rooms = &self.rooms;
        self.news.subscriptions.retain(|id, subscription| {
            let is_followed = rooms.get(id).is_some_and(|room| room.record.standing == Standing::Active);
            if !is_followed && let Some(number) = subscription.number {
                frames.push(ClientFrame::Unsubscribe { number });
            }
            is_followed
        });
        let subscriptions = self.news.subscriptions.values();
        let asked = subscriptions.filter(|one| one.number.is_some() && !one.is_answered).count();
        let wanted = self.rooms.values().filter(|room| room.record.standing == Standing::Active);
        let wanted = wanted.map(|room| &room.id).filter(|id| {
            let known = self.news.subscriptions.get(id);
            known.is_none_or(|known| known.number.is_none() && known.backoff.until <= now)
        });
        let wanted: Vec<RoomId> = wanted.take(AT_ONCE.saturating_sub(asked)).cloned().collect();
        for id in wanted {
            frames.push(self.subscribe(&id, now)?);
        }
        Ok(frames)
    }

    /// Something has come of the stream.
    pub fn stream_event(&mut self, event: StreamEvent, now: Millis) {
        match event {
            StreamEvent::Open => self.news.line = Line::Open,
            StreamEvent::Frame(frame) => {
                self.news.backoff.succeed();
                self.heard(frame, now);
            }
            StreamEvent::Closed(why) => self.stream_closed(why, now),
        }
    }

    /// Asks for what no stream tells of, if it is time for that: for a host that waits for news. It is asked for more and more
    /// rarely while nothing happens ([`Settings::poll`](crate::Settings::poll)).
    pub fn look(&mut self, now: Millis) {
        if self.news.look_at > now || !self.is_something_untold() {
            return;
        }
        if self.news.events != self.next.event {
            self.news.events = self.next.event;
            self.news.looks = 0;
        }
        let sync = self.next_sync();
        if !self.is_inbox_told() {
            self.account.inbox_wanted = sync;
        }
        for room in self.rooms.values_mut() {
            if room.record.standing == Standing::Active && !self.news.tells_of(&room.id) {
                room.read_wanted = sync;
            }
        }
        let wait = pause(self.news.looks, self.env.settings.poll, &mut *self.env.random);
        self.news.look_at = now.after(wait);
        self.news.looks = self.news.looks.saturating_add(1);
    }

    /// When a host that waits for news has something to do for that: [`wants_stream`](Self::wants_stream),
    /// [`stream_frames`](Self::stream_frames) or [`look`](Self::look).
    #[must_use]
    pub fn news_at(&self, now: Millis) -> Option<Millis> {
        let news = &self.news;
        let look = self.is_something_untold().then_some(news.look_at);
        let line = match news.line {
            Line::Closed => vec![news.backoff.until],
            Line::Open => {
                let refused = news.subscriptions.values().filter(|one| one.number.is_none());
                let refused = refused.map(|one| one.backoff.until);
                refused.chain([news.inbox.until]).chain(self.token_ends()).collect()
            }
            Line::Begun | Line::Never => Vec::new(),
        };
        line.into_iter().chain(look).filter(|at| *at > now).min()
    }

    fn tell_device(&mut self, now: Millis, frames: &mut Vec<ClientFrame>) {
        if self.news.inbox.until > now {
            return;
        }
        if !self.is_logged_in(now) {
            self.account.want_token();
            return;
        }
        let token = self.account.token();
        if self.news.told != token
            && let Some(token) = token
        {
            self.news.told = Some(token.clone());
            frames.push(ClientFrame::Device { token });
            // That it was taken shows by what comes next.
            frames.push(ClientFrame::Ping { payload: [0; 8] });
        }
    }

    fn subscribe(&mut self, id: &RoomId, now: Millis) -> Result<ClientFrame, Error> {
        let number = self.news.next;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let subscribe = room.subscribe_request(&self.env, number, now)?;
        self.news.next = number.wrapping_add(1);
        let subscription = self.news.subscriptions.entry(id.clone()).or_default();
        subscription.number = Some(number);
        subscription.is_answered = false;
        Ok(ClientFrame::Subscribe(subscribe))
    }

    fn heard(&mut self, frame: ServerFrame, now: Millis) {
        match frame {
            ServerFrame::Subscribed { number, head } => {
                let Some((id, subscription)) = self.news.by_number(number) else { return };
                subscription.is_answered = true;
                subscription.backoff.succeed();
                self.goes_to(&id, head);
            }
            ServerFrame::Hint { number, head } => {
                let Some((id, _)) = self.news.by_number(number) else { return };
                self.goes_to(&id, head);
            }
            // There is no credit for these.
            ServerFrame::Entry { number, entry } => {
                let Some((id, _)) = self.news.by_number(number) else { return };
                self.goes_to(&id, entry.sequence);
            }
            ServerFrame::Inbox => self.want_inbox(),
            ServerFrame::Pong { .. } => {
                if self.news.told.is_some() {
                    self.news.inbox.succeed();
                }
            }
            ServerFrame::Refused { number: Some(number), refused } => {
                self.subscription_refused(number, refused, now);
            }
            ServerFrame::Refused { number: None, refused } => {
                // The account's lane finds out what it means.
                self.news.told = None;
                self.account.drop_token();
                let waits = self.env.settings.poll;
                let at_least = refused.retry_after.map_or(0, millis);
                self.news.inbox.fail(refused.into(), (now, at_least), waits, &mut *self.env.random);
                self.want_inbox();
            }
        }
    }

    /// A room's log goes to this number.
    fn goes_to(&mut self, id: &RoomId, head: u64) {
        if let Some(room) = self.rooms.get_mut(id)
            && head > room.record.cursor
        {
            room.known = room.known.max(head);
        }
    }

    fn want_inbox(&mut self) {
        self.account.inbox_wanted = self.next_sync();
    }

    /// A room is not told of any more: what it means, reading it shows.
    fn subscription_refused(&mut self, number: u32, refused: Refused, now: Millis) {
        let Some((id, subscription)) = self.news.by_number(number) else { return };
        subscription.number = None;
        let waits = self.env.settings.poll;
        let at_least = refused.retry_after.map_or(0, millis);
        let (code, is_temporary) = (refused.code, refused.is_temporary());
        subscription.backoff.fail(refused.into(), (now, at_least), waits, &mut *self.env.random);
        if code == RefusalCode::UNAUTHORIZED {
            // Our clock is wrong, or somebody else's is.
            self.account.want_time();
        } else if !is_temporary && let Some(room) = self.rooms.get_mut(&id) {
            room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
        }
    }

    fn stream_closed(&mut self, why: TransportError, now: Millis) {
        let at_least = match &why {
            TransportError::Refused(refused) => refused.retry_after.map_or(0, millis),
            // What answers has no stream, as a proxy that lets none through.
            TransportError::Garbled(_) | TransportError::WrongServer(_) => NO_STREAM_FOR,
            TransportError::Unreachable(_) | TransportError::Unknown(_) => 0,
        };
        let retry = self.env.settings.retry;
        self.news.backoff.fail(why.into(), (now, at_least), retry, &mut *self.env.random);
        self.news.line = Line::Closed;
        self.news.subscriptions.clear();
        self.news.told = None;
        self.news.inbox.succeed();
        self.look_later(now);
    }

    /// A stream is to be expected: it is not looked for at once.
    fn look_later(&mut self, now: Millis) {
        let wait = pause(0, self.env.settings.poll, &mut *self.env.random);
        self.news.look_at = now.after(wait);
        self.news.looks = 0;
    }

    fn is_something_untold(&self) -> bool {
        let mut rooms = self.rooms.values().filter(|room| room.record.standing == Standing::Active);
        !self.is_inbox_told() || rooms.any(|room| !self.news.tells_of(&room.id))
    }

    fn is_inbox_told(&self) -> bool {
        self.news.line == Line::Open && self.news.inbox.trouble.is_none()
    }
}

impl News {
    /// Whether the stream tells of a room, or is about to.
    fn tells_of(&self, id: &RoomId) -> bool {
        let known = self.subscriptions.get(id);
        self.line == Line::Open && known.is_none_or(|known| known.backoff.trouble.is_none())
    }

    fn by_number(&mut self, number: u32) -> Option<(RoomId, &mut Subscription)> {
        let mut subscriptions = self.subscriptions.iter_mut();
        let found = subscriptions.find(|(_, subscription)| subscription.number == Some(number));
        found.map(|(id, subscription)| (id.clone(), subscription))
    }
}

/// So many subscriptions are asked for before the first of them is answered.
const AT_ONCE: usize = 100;
/// Where something answers that has no stream it is asked again after so long, in milliseconds.
const NO_STREAM_FOR: u64 = 5 * 60 * 1000;
