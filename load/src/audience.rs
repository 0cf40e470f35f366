//! Devices that are connected and read all that comes, and when each of them has had it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hushwood_delivery::wire::{ClientFrame, ServerFrame};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::client::Reader;
use crate::net::{Place, Stream};
use crate::times::Times;

/// A message: the number that its group has here, and its number in the log.
pub type Message = (usize, u64);

/// Devices that are connected. They go when this is dropped.
pub struct Audience {
    arrivals: UnboundedReceiver<Result<Arrival>>,
    devices: JoinSet<()>,
    /// How many read each group.
    of_group: HashMap<usize, usize>,
}

struct Arrival {
    message: Message,
    at: Instant,
}

impl Audience {
    /// Connects all of these, some at the same time: where, whom, and the number of their group.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn connect(readers: Vec<(Place, Reader, usize)>) -> Result<Self> {
        /// As many as shake hands at the same time.
        const AT_ONCE: usize = 64;
        let (sender, arrivals) = unbounded_channel();
        let (mut devices, mut of_group) = (JoinSet::new(), HashMap::new());
        for (_, _, group) in &readers {
            let count: &mut usize = of_group.entry(*group).or_default();
            *count = count.saturating_add(1);
        }
        let connected = stream::iter(readers)
            .map(|(place, reader, group)| async move { anyhow::Ok((open(&place, &reader).await?, group)) });
        let mut connected = std::pin::pin!(connected.buffer_unordered(AT_ONCE));
        while let Some((stream, group)) = connected.try_next().await? {
            devices.spawn(read(stream, group, sender.clone()));
        }
        Ok(Self { arrivals, devices, of_group })
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Waits until all of these messages have come to all who read their groups. Gives the time from when each was answered until
    /// each device had it, and when the last came. Who had it before the answer has waited for nothing.
    ///
    /// # Errors
    /// If one does not come in time, or a device was sent something else.
    pub async fn all_have(
        &mut self,
        answered: &HashMap<Message, Instant>,
        patience: Duration,
    ) -> Result<(Times, Instant)> {
        let readers = |(group, _): &Message| self.of_group.get(group).copied().unwrap_or_default();
        let expected: usize = answered.keys().map(readers).sum();
        let (mut times, mut last) = (Times::new()?, Instant::now());
        let deadline = tokio::time::Instant::now() + patience;
        for received in 0..expected {
            let Ok(arrival) = timeout_at(deadline, self.arrivals.recv()).await else {
                bail!("{} of {expected} messages have not come to honest readers", expected - received);
            };
            let Arrival { message, at } = arrival.context("all devices have gone")??;
            let answered = answered.get(&message).context("a device was sent what nobody has written")?;
            times.record(at.saturating_duration_since(*answered));
            last = at;
        }
        Ok((times, last))
    }
}

async fn open(place: &Place, reader: &Reader) -> Result<Stream> {
    let mut stream = Stream::open(place).await.context("an honest reader can't connect")?;
    stream.say(&ClientFrame::Credit { entries: u32::MAX }).await?;
    stream.say(&reader.subscribe(1)?).await?;
    match stream.next().await? {
        ServerFrame::Subscribed { .. } => Ok(stream),
        other => bail!("an honest reader was told: {other:?}"),
    }
}

/// Reads until the end; what is not the next entry ends it with a word.
async fn read(mut stream: Stream, group: usize, sender: UnboundedSender<Result<Arrival>>) {
    let mut expected = None;
    loop {
        let arrival = next(&mut stream, group, &mut expected).await;
        let is_over = arrival.is_err();
        if sender.send(arrival).is_err() || is_over {
            return;
        }
    }
}

async fn next(stream: &mut Stream, group: usize, expected: &mut Option<u64>) -> Result<Arrival> {
    match stream.next().await.context("an honest reader is no longer connected")? {
        ServerFrame::Entry { entry, .. } => {
            let at = Instant::now();
            let number = entry.sequence;
            ensure!(
                expected.is_none_or(|expected| expected == number),
                "an honest reader has missed something"
            );
            *expected = number.checked_add(1);
            Ok(Arrival { message: (group, number), at })
        }
        other => bail!("an honest reader was told: {other:?}"),
    }
}
