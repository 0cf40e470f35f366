//! How much is measured: figures of a quarter of an hour, of a minute, and of a test.

use std::time::Duration;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Scale {
    /// How long one measurement takes.
    pub time: Duration,
    /// Connections that send, each waiting for its answers.
    pub writers: Vec<usize>,
    /// The same for commits.
    pub committers: Vec<usize>,
    /// Groups for messages, and for commits.
    pub groups: usize,
    /// Messages or commits a second that are made beforehand: what comes to more ends a measurement early.
    pub prepared: usize,
    /// Nodes on PostgreSQL, beside one.
    pub nodes: usize,
    /// Devices that are connected: groups, and devices in each.
    pub fanouts: Vec<(usize, usize)>,
    /// Messages of which it is seen when they arrive.
    pub rounds: usize,
    /// The flood.
    pub flood: FloodScale,
}

/// Hostile connections of each kind, and honest clients.
#[derive(Clone, Debug)]
pub struct FloodScale {
    /// How long it is looked at, without the flood and with it.
    pub time: Duration,
    /// How long it is waited afterwards before memory is looked at once more.
    pub rest: Duration,
    /// Groups of honest clients, and readers in each.
    pub honest: (usize, usize),
    /// Connections that say nothing.
    pub silent: usize,
    /// Connections that say half of a request.
    pub half: usize,
    /// Bodies that come a byte a second.
    pub slow_bodies: usize,
    /// Bodies of rubbish, one after the other, as fast as they go.
    pub rubbish: usize,
    /// Bodies of 60 MiB that stop before their end.
    pub held_bodies: usize,
    /// Clients that ask without a pause.
    pub greedy: usize,
    /// Streams that have credit for everything and are not read.
    pub unread_streams: usize,
    /// Answers that are not read.
    pub unread_answers: usize,
}

impl Scale {
    /// For figures.
    #[must_use]
    pub fn full() -> Self {
        Self {
            time: Duration::from_secs(5),
            writers: vec![1, 16, 64, 256],
            committers: vec![1, 16, 64],
            groups: 256,
            prepared: 12_000,
            nodes: 3,
            fanouts: vec![(100, 100), (1, 10_000)],
            rounds: 30,
            flood: FloodScale {
                time: Duration::from_secs(40),
                rest: Duration::from_secs(10),
                honest: (16, 8),
                silent: 2000,
                half: 1000,
                slow_bodies: 500,
                rubbish: 32,
                held_bodies: 16,
                greedy: 16,
                unread_streams: 400,
                unread_answers: 100,
            },
        }
    }

    /// For a minute.
    #[must_use]
    pub fn quick() -> Self {
        let full = Self::full();
        Self {
            time: Duration::from_secs(1),
            writers: vec![1, 64],
            committers: vec![1, 16],
            groups: 64,
            prepared: 6000,
            fanouts: vec![(20, 50), (1, 1000)],
            rounds: 5,
            flood: FloodScale {
                time: Duration::from_secs(3),
                rest: Duration::from_secs(1),
                silent: 200,
                half: 100,
                slow_bodies: 50,
                rubbish: 8,
                greedy: 4,
                ..full.flood
            },
            ..full
        }
    }

    /// For tests: whether it works at all.
    #[must_use]
    pub fn tiny() -> Self {
        Self {
            time: Duration::from_millis(200),
            writers: vec![1, 4],
            committers: vec![1, 4],
            groups: 4,
            prepared: 100,
            nodes: 2,
            fanouts: vec![(2, 4), (1, 10)],
            rounds: 2,
            flood: FloodScale {
                time: Duration::from_secs(1),
                rest: Duration::from_millis(100),
                honest: (2, 2),
                silent: 5,
                half: 5,
                slow_bodies: 5,
                rubbish: 2,
                held_bodies: 1,
                greedy: 2,
                unread_streams: 2,
                unread_answers: 2,
            },
        }
    }

    /// Requests that are made beforehand for one measurement.
    #[must_use]
    pub fn prepared_at_once(&self) -> usize {
        let millis = usize::try_from(self.time.as_millis()).unwrap_or(usize::MAX);
        self.prepared.saturating_mul(millis) / 1000
    }
}
