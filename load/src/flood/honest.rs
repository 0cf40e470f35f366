//! Honest clients: who sends a message five times a second, and who reads them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::audience::Audience;
use crate::chain::{Chain, What, accepted};
use crate::client::{Author, Founder};
use crate::flood::honest_address;
use crate::net::Link;
use crate::scale::FloodScale;
use crate::service::Service;
use crate::times::Times;

/// How they were served.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    /// Messages that they have sent. None was refused.
    pub sent: u64,
    /// Until a message is answered: milliseconds at the median.
    pub sent_p50: f64,
    /// Milliseconds that one in a hundred exceeds.
    pub sent_p99: f64,
    /// Messages that came to readers. None is missing.
    pub read: u64,
    /// From the answer until a reader has it: milliseconds at the median.
    pub read_p50: f64,
    /// Milliseconds that one in a hundred exceeds.
    pub read_p99: f64,
}

/// Who sends, and who reads.
pub(super) struct Honest {
    senders: Vec<(Link, Chain)>,
    audience: Audience,
}

/// Between two messages of one client.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a message may take to come to its readers.
const PATIENCE: Duration = Duration::from_secs(30);

impl Honest {
    pub(super) async fn connect(service: &Service, scale: &FloodScale) -> Result<Self> {
        let place = service.place(0)?;
        let (groups, readers) = scale.honest;
        let (mut senders, mut devices) = (Vec::new(), Vec::new());
        for group in 0..groups {
            let (author, others) = Author::new(readers)?;
            let from = honest_address(group);
            senders.push((Link::open(&place.coming_from(from)).await?, Chain::new(author, What::Messages)));
            for reader in others {
                let from = honest_address(groups + devices.len());
                devices.push((place.coming_from(from), reader, group));
            }
        }
        let link = Link::open(&place.coming_from(honest_address(usize::from(u16::MAX)))).await?;
        Founder::bring_all(&link, senders.iter_mut().map(|(_, chain)| chain.author())).await?;
        Ok(Self { senders, audience: Audience::connect(devices).await? })
    }

    /// They send for so long, and wait until all has come.
    pub(super) async fn converse(&mut self, time: Duration) -> Result<Served> {
        let (start, mut tasks) = (Instant::now(), Vec::new());
        for (group, (link, mut chain)) in self.senders.drain(..).enumerate() {
            tasks.push(tokio::spawn(async move {
                let (mut times, mut answered) = (Times::new()?, Vec::new());
                let mut pace = interval(PAUSE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut link = link;
                while start.elapsed() < time {
                    pace.tick().await;
                    chain.fill(1)?;
                    let body = chain.take().context("no message is ready")?;
                    let begin = Instant::now();
                    let answer = link.call(What::Messages.kind(), body, None).await;
                    let at = Instant::now();
                    let answer = answer.context("an honest client was cut off")?;
                    let answer =
                        answer.map_err(|refused| anyhow::anyhow!("an honest client was told: {refused}"))?;
                    times.record(at.saturating_duration_since(begin));
                    answered.push(((group, accepted(&answer)?), at));
                }
                anyhow::Ok((link, chain, times, answered))
            }));
        }
        let (mut times, mut answered) = (Times::new()?, HashMap::new());
        for task in tasks {
            let (link, chain, sent, of_group) = task.await??;
            self.senders.push((link, chain));
            times.add(&sent)?;
            answered.extend(of_group);
        }
        let (read, _) = self.audience.all_have(&answered, PATIENCE).await?;
        Ok(Served {
            sent: times.len(),
            sent_p50: times.percentile(50.0),
            sent_p99: times.percentile(99.0),
            read: read.len(),
            read_p50: read.percentile(50.0),
            read_p99: read.percentile(99.0),
        })
    }
}
