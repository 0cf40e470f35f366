//! What both clients share: the machine, its requests on their way, and its stream.
//!
//! A client asks for the next [`Step`] until what it wants is so, and waits in between, in a thread or in a task. Requests are made
//! beside that, and their answers are taken when they come, whether or not whoever began them still waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use hushwood_delivery::wire::Answer;

use crate::client::signal::Signal;
use crate::core::{Core, Next, Request};
use crate::error::Error;
use crate::event::Event;
use crate::settings::Millis;
use crate::transport::{StreamEvent, StreamHandle, StreamListener, TransportError};

/// A machine that is driven.
pub(super) struct Engine<T> {
    state: Mutex<State>,
    /// Something has come: an answer, or news.
    pub(super) signal: Signal,
    pub(super) transport: Arc<T>,
}

/// What is behind the lock.
pub(super) struct State {
    pub(super) core: Core,
    /// The last event that was given to somebody who waited.
    given: u64,
    /// Since when there have been others.
    new_since: Option<Instant>,
    /// An answer could not be taken, and nobody has been told.
    failed: Option<Error>,
    stream: Option<StreamHandle>,
    /// Which of the streams that there were it is.
    opened: u64,
}

/// What is wanted of the machine.
pub(super) struct Goal<F> {
    /// What it is, once it is so.
    done: F,
    /// It is looked at when all has been asked that can be asked at once.
    all: bool,
    /// When to wait no longer.
    until: Option<Instant>,
    /// What for, if there is nothing to ask.
    wait: Wait,
}

/// What to wait for when there is nothing to ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wait {
    /// For nothing.
    No,
    /// For what the service says at last.
    Yes,
    /// For news.
    News,
}

/// What to do next.
pub(super) enum Step<R> {
    /// It is so.
    Done(R),
    /// Make this request, and go on.
    Call(Box<Request>),
    /// Open the stream of this number, and go on.
    Listen(u64),
    /// Wait for the signal, at most so long.
    Wait(Duration),
    /// It is not so, and the time is over, or nothing more happens by itself.
    Over,
}

/// A request on its way. Whatever becomes of whoever makes it, there is an answer.
pub(super) struct Asked<T> {
    engine: Weak<Engine<T>>,
    id: u64,
    answer: Result<Answer, TransportError>,
}

impl<T> Engine<T> {
    pub(super) fn new(core: Core, transport: T) -> Arc<Self> {
        let state = State { core, given: 0, new_since: None, failed: None, stream: None, opened: 0 };
        Arc::new(Self { state: Mutex::new(state), signal: Signal::default(), transport: Arc::new(transport) })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has at most left memory behind that is read again from the store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until this time has passed; for ever, if that is beyond what can be counted.
    pub(super) fn within<F>(time: Duration, wait: Wait, all: bool, done: F) -> Goal<F> {
        Goal { done, all, until: Instant::now().checked_add(time), wait }
    }

    /// As long as calls have patience.
    pub(super) fn patiently<F>(&self, all: bool, done: F) -> Goal<F> {
        Self::within(self.state().core.patience(), Wait::No, all, done)
    }

    pub(super) fn step<R, F: FnMut(&mut State) -> Option<R>>(
        &self,
        goal: &mut Goal<F>,
    ) -> Result<Step<R>, Error> {
        let mut state = self.state();
        let state = &mut *state;
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if !goal.all
            && let Some(result) = (goal.done)(state)
        {
            return Ok(Step::Done(result));
        }
        let now = Millis::now();
        if goal.wait == Wait::News {
            if state.core.wants_stream(now) {
                state.opened = state.opened.wrapping_add(1);
                state.core.stream_begun(now);
                return Ok(Step::Listen(state.opened));
            }
            state.core.look(now);
        }
        if let Some(stream) = &state.stream {
            state.core.stream_frames(now)?.into_iter().for_each(|frame| stream.say(frame));
        }
        let next = match state.core.asking() < AT_ONCE {
            true => state.core.poll(now)?,
            false => Next::Wait(None),
        };
        let until = match next {
            Next::Request(request) => return Ok(Step::Call(request)),
            Next::Wait(until) => until,
        };
        if let Some(result) = (goal.done)(state) {
            return Ok(Step::Done(result));
        }
        let left = goal.until.map_or(A_DAY, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(Step::Over);
        }
        let news = (goal.wait == Wait::News).then(|| state.core.news_at(now)).flatten();
        let wait = match until.into_iter().chain(news).min() {
            Some(until) => Duration::from_millis(until.0.saturating_sub(now.0)),
            None if goal.wait != Wait::No || state.core.asking() > 0 => left,
            None => return Ok(Step::Over),
        };
        let wait = match state.new_since.filter(|_| goal.wait == Wait::News) {
            Some(since) => wait.min(TOGETHER.saturating_sub(since.elapsed())),
            None => wait,
        };
        Ok(Step::Wait(wait.max(Duration::from_millis(1)).min(left)))
    }

    /// A request that is about to be made.
    pub(super) fn asked(self: &Arc<Self>, id: u64) -> Asked<T> {
        let answer = Err(TransportError::Unknown("the call was cut off".to_owned()));
        Asked { engine: Arc::downgrade(self), id, answer }
    }

    /// Who takes what comes of a stream that is about to be opened.
    pub(super) fn listener(self: &Arc<Self>, opened: u64) -> StreamListener
    where
        T: Send + Sync + 'static,
    {
        let engine = Arc::downgrade(self);
        StreamListener::new(move |event| {
            if let Some(engine) = engine.upgrade() {
                engine.hear(opened, event);
            }
        })
    }

    /// The stream was opened, or there is none.
    pub(super) fn listening(&self, opened: u64, handle: Option<StreamHandle>) {
        let mut state = self.state();
        let old = match handle {
            Some(handle) if state.opened == opened => state.stream.replace(handle),
            Some(handle) => Some(handle),
            None => {
                state.core.no_stream();
                state.stream.take()
            }
        };
        drop(state);
        drop(old);
        self.signal.raise();
    }

    fn hear(&self, opened: u64, event: StreamEvent) {
        let mut state = self.state();
        if state.opened != opened {
            return;
        }
        let ended = match event {
            StreamEvent::Closed(_) => state.stream.take(),
            StreamEvent::Open | StreamEvent::Frame(_) => None,
        };
        state.core.stream_event(event, Millis::now());
        drop(state);
        drop(ended);
        self.signal.raise();
    }

    /// Gives events again that were given and did not arrive, from this one on.
    #[cfg(feature = "async")]
    pub(super) fn give_back(&self, number: u64) {
        let mut state = self.state();
        state.given = state.given.min(number.saturating_sub(1));
        drop(state);
        self.signal.raise();
    }
}

impl State {
    /// Events that were not given yet, if there are any: what belongs together together, as far as that does not take long.
    pub(super) fn new_events(&mut self) -> Option<Result<Vec<Event>, Error>> {
        if self.core.newest_event() <= self.given {
            self.new_since = None;
            return None;
        }
        let since = *self.new_since.get_or_insert_with(Instant::now);
        match self.core.asking() > 0 && since.elapsed() < TOGETHER {
            true => None,
            false => self.take_events(),
        }
    }

    fn take_events(&mut self) -> Option<Result<Vec<Event>, Error>> {
        self.new_since = None;
        if self.core.newest_event() <= self.given {
            return None;
        }
        let mut events = match self.core.events(None) {
            Ok(events) => events,
            Err(error) => return Some(Err(error)),
        };
        events.retain(|event| event.number > self.given);
        let last = events.last().map_or(0, |event| event.number);
        self.given = self.core.newest_event().max(last);
        (!events.is_empty()).then_some(Ok(events))
    }

    /// What there is when the time is over; if there is nothing, and it could not all be read, why.
    pub(super) fn last_events(&mut self) -> Result<Vec<Event>, Error> {
        if let Some(events) = self.take_events() {
            return events;
        }
        match self.core.trouble(None).filter(|_| !self.core.is_quiet()) {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(Vec::new()),
        }
    }
}

impl<T> Asked<T> {
    pub(super) fn answered(mut self, answer: Result<Answer, TransportError>) {
        self.answer = answer;
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        let Some(engine) = self.engine.upgrade() else { return };
        let cut_off = Err(TransportError::Unknown(String::new()));
        let answer = std::mem::replace(&mut self.answer, cut_off);
        let mut state = engine.state();
        if let Err(error) = state.core.answer(self.id, answer, Millis::now()) {
            state.failed = Some(error);
        }
        drop(state);
        engine.signal.raise();
    }
}

/// So many requests are on their way at once.
const AT_ONCE: usize = 4;
/// So long events wait for what is being read already.
const TOGETHER: Duration = Duration::from_millis(250);
/// Where there is no end, it is looked at again after so long.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
