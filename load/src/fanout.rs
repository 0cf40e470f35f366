//! Messages to many connected devices: when the median one and the last have them, and what a connection costs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;

use crate::args::Engine;
use crate::audience::Audience;
use crate::chain::{Chain, What, accepted};
use crate::client::{Author, Founder};
use crate::net::Link;
use crate::service::{Service, Setup};
use crate::times::Times;

/// What one measurement has come to.
#[derive(Clone, Debug, Serialize)]
pub struct Fanout {
    /// The database.
    pub engine: Engine,
    /// How many nodes.
    pub nodes: usize,
    /// How many groups.
    pub groups: usize,
    /// Devices that are connected for each.
    pub readers: usize,
    /// Connections that were made in a second.
    pub connections_per_second: f64,
    /// KiB of the nodes' memory for each connection.
    pub connection: f64,
    /// A message in one group.
    pub one: Delay,
    /// A message in each group at the same time.
    pub all: Delay,
    /// Messages that came to devices in a second, of these.
    pub deliveries: f64,
    /// MiB of memory at the most, of the node that has most.
    pub peak: f64,
}

/// From when a message was answered until devices had it, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Delay {
    /// Half of the devices.
    pub p50: f64,
    /// All but one in a hundred.
    pub p99: f64,
    /// All devices, at the median of messages.
    pub last: f64,
}

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects devices and sends them messages.
///
/// # Errors
/// If a client is refused or misses something, or a node ends.
pub async fn measure(
    service: &Service,
    setup: Setup,
    (groups, readers): (usize, usize),
    rounds: usize,
) -> Result<Fanout> {
    let made: Result<Vec<_>> = (0..groups).into_par_iter().map(|_| Author::new(readers)).collect();
    let (mut chains, mut devices) = (Vec::new(), Vec::new());
    for (group, (author, readers)) in made?.into_iter().enumerate() {
        chains.push(Chain::new(author, What::Messages));
        for reader in readers {
            devices.push((service.place(devices.len())?.clone(), reader, group));
        }
    }
    let link = Link::open(service.place(0)?).await?;
    Founder::bring_all(&link, chains.iter_mut().map(Chain::author)).await?;
    chains.iter_mut().try_for_each(|chain| chain.fill(2 * rounds + 1))?;

    let (before, start) = (service.usage().resident, Instant::now());
    let mut audience = Audience::connect(devices).await?;
    let (count, took) = (f64::from(u32::try_from(audience.len())?), start.elapsed());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let resident = service.usage().resident - before;
    let of_node = count / f64::from(u32::try_from(service.nodes())?);
    // The first in each group is not looked at: it is not in memory yet.
    let mut scene = Scene { links: links(service).await?, chains };
    let answered = scene.send(0..groups).await?;
    audience.all_have(&answered, PATIENCE).await?;

    service.forget_peaks();
    let mut one = Delays::new()?;
    for round in 0..rounds {
        let group = round % groups.max(1);
        let answered = scene.send(group..group + 1).await?;
        one.add(&audience.all_have(&answered, PATIENCE).await?.0)?;
    }
    let (mut all, mut sending) = (Delays::new()?, Duration::ZERO);
    for _ in 0..rounds {
        let start = Instant::now();
        let answered = scene.send(0..groups).await?;
        let (times, last) = audience.all_have(&answered, PATIENCE).await?;
        sending += last.saturating_duration_since(start);
        all.add(&times)?;
    }
    service.alive()?;
    let rounds = f64::from(u32::try_from(rounds)?);
    Ok(Fanout {
        engine: setup.engine,
        nodes: setup.nodes,
        groups,
        readers,
        connections_per_second: count / took.as_secs_f64(),
        connection: resident * 1024.0 / of_node,
        one: one.delay(),
        all: all.delay(),
        deliveries: count * rounds / sending.as_secs_f64(),
        peak: service.usage().peak,
    })
}

async fn links(service: &Service) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for number in 0..service.nodes().max(4) {
        links.push(Link::open(service.place(number)?).await?);
    }
    Ok(links)
}

struct Scene {
    links: Vec<Link>,
    chains: Vec<Chain>,
}

impl Scene {
    /// Sends a message in each of these groups, at the same time, and says when each was answered.
    async fn send(
        &mut self,
        groups: std::ops::Range<usize>,
    ) -> Result<HashMap<crate::audience::Message, Instant>> {
        let mut sent = Vec::new();
        for group in groups {
            let body = self.chains.get_mut(group).and_then(Chain::take).context("no message is ready")?;
            let link = group.checked_rem(self.links.len()).and_then(|link| self.links.get(link));
            let mut link = link.context("no connection")?.clone();
            sent.push(tokio::spawn(async move {
                let answer = link.call(What::Messages.kind(), body, None).await?;
                let at = Instant::now();
                let answer =
                    answer.map_err(|refused| anyhow::anyhow!("an honest client was told: {refused}"))?;
                anyhow::Ok(((group, accepted(&answer)?), at))
            }));
        }
        let mut answered = HashMap::new();
        for one in sent {
            let (message, at) = one.await??;
            answered.insert(message, at);
        }
        Ok(answered)
    }
}

struct Delays {
    all: Times,
    last: Times,
}

impl Delays {
    fn new() -> Result<Self> {
        Ok(Self { all: Times::new()?, last: Times::new()? })
    }

    fn add(&mut self, times: &Times) -> Result<()> {
        self.last.record(Duration::from_secs_f64(times.longest() / 1000.0));
        self.all.add(times)
    }

    fn delay(&self) -> Delay {
        Delay {
            p50: self.all.percentile(50.0),
            p99: self.all.percentile(99.0),
            last: self.last.percentile(50.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_the_last_of_each_message() {
        let mut delays = Delays::new().unwrap();
        for longest in [10, 20, 30] {
            let mut times = Times::new().unwrap();
            (0..99).for_each(|_| times.record(Duration::from_millis(1)));
            times.record(Duration::from_millis(longest));
            delays.add(&times).unwrap();
        }
        let Delay { p50, p99, last } = delays.delay();
        assert!((p50 - 1.0).abs() < 0.01 && (p99 - 1.0).abs() < 0.01, "{p50} {p99}");
        assert!((last - 20.0).abs() < 0.1, "{last}");
    }
}
