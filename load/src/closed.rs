//! Connections that send, each when its last request was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;

use crate::args::Engine;
use crate::chain::{Chain, What, accepted};
use crate::client::{Author, Founder};
use crate::net::Link;
use crate::scale::Scale;
use crate::service::{Service, Setup};
use crate::times::Times;

/// What one measurement has come to.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    /// The database.
    pub engine: Engine,
    /// How many nodes; none for the engine by itself.
    pub nodes: usize,
    /// What was written.
    pub what: What,
    /// How many wait for an answer at the same time.
    pub writers: usize,
    /// Of the engine by itself: how many share a transaction.
    pub batch: usize,
    /// How many were answered in a second.
    pub per_second: f64,
    /// Milliseconds at the median.
    pub p50: f64,
    /// Milliseconds that one in a hundred exceeds.
    pub p99: f64,
    /// Microseconds of processors' time for each, in the nodes.
    pub processor: f64,
    /// MiB of memory at the end, of the node that has most.
    pub memory: f64,
}

/// Members beside the author in each group.
pub const OTHERS: usize = 3;

/// Messages or commits on a service of its own, with more and more writers.
///
/// # Errors
/// If a request is refused, or a node ends.
pub async fn measure(
    service: &Service,
    setup: Setup,
    what: What,
    scale: &Scale,
    mut tell: impl FnMut(&Rate),
) -> Result<Vec<Rate>> {
    // Commits take longer to make than to check.
    let (levels, groups, most) = match what {
        What::Messages => (&scale.writers, scale.groups, scale.prepared_at_once()),
        What::Commits => (&scale.committers, scale.groups.min(64), scale.prepared_at_once() / 4),
    };
    let mut chains = groups_of(service, what, groups).await?;
    let mut rates = Vec::new();
    for &writers in levels {
        let writers = writers.min(chains.len());
        let each = most.div_ceil(chains.len().max(1)).max(2);
        chains.par_iter_mut().try_for_each(|chain| chain.fill(each))?;
        let mut lanes = lanes(service, chains, writers).await?;
        // What a node sees for the first time it has to read; that is not what is measured.
        for lane in &mut lanes {
            lane.once_each().await?;
        }
        let before = service.usage().processor;
        let (times, took, lanes) = run(lanes, scale.time).await?;
        service.alive()?;
        let after = service.usage();
        let count = f64::from(u32::try_from(times.len())?);
        let rate = Rate {
            engine: setup.engine,
            nodes: setup.nodes,
            what,
            writers,
            batch: 0,
            per_second: count / took.as_secs_f64(),
            p50: times.percentile(50.0),
            p99: times.percentile(99.0),
            processor: (after.processor - before) / count.max(1.0) * 1e6,
            memory: after.resident,
        };
        tell(&rate);
        rates.push(rate);
        chains = lanes.into_iter().flat_map(|lane| lane.chains).collect();
    }
    Ok(rates)
}

/// Groups that the service knows.
async fn groups_of(service: &Service, what: What, groups: usize) -> Result<Vec<Chain>> {
    let authors: Result<Vec<_>> =
        (0..groups).into_par_iter().map(|_| Author::new(OTHERS).map(|(author, _)| author)).collect();
    let mut authors = authors?;
    let link = Link::open(service.place(0)?).await?;
    Founder::bring_all(&link, authors.iter_mut()).await?;
    Ok(authors.into_iter().map(|author| Chain::new(author, what)).collect())
}

/// A connection, and the groups whose messages go over it, by turns.
struct Lane {
    link: Link,
    chains: Vec<Chain>,
    turn: usize,
}

async fn lanes(service: &Service, chains: Vec<Chain>, writers: usize) -> Result<Vec<Lane>> {
    let mut lanes = Vec::with_capacity(writers);
    for number in 0..writers {
        let link = Link::open(service.place(number)?).await?;
        lanes.push(Lane { link, chains: Vec::new(), turn: 0 });
    }
    for (number, chain) in chains.into_iter().enumerate() {
        let lane = number.checked_rem(writers).and_then(|lane| lanes.get_mut(lane));
        lane.context("no connection")?.chains.push(chain);
    }
    Ok(lanes)
}

impl Lane {
    /// The next request; none if a group has none ready.
    async fn next(&mut self) -> Result<Option<Duration>> {
        let turn = self.turn.checked_rem(self.chains.len());
        let chain = turn.and_then(|turn| self.chains.get_mut(turn)).context("no group")?;
        self.turn = self.turn.wrapping_add(1);
        let kind = chain.what().kind();
        let Some(body) = chain.take() else { return Ok(None) };
        let start = Instant::now();
        let answer = self.link.call(kind, body, None).await?;
        let time = start.elapsed();
        let answer = answer.map_err(|refused| anyhow::anyhow!("an honest client was told: {refused}"))?;
        accepted(&answer)?;
        Ok(Some(time))
    }

    async fn once_each(&mut self) -> Result<()> {
        for _ in 0..self.chains.len() {
            self.next().await?;
        }
        Ok(())
    }
}

/// All lanes together, until the time is over or one has nothing left that is ready.
async fn run(lanes: Vec<Lane>, time: Duration) -> Result<(Times, Duration, Vec<Lane>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (start, mut tasks) = (Instant::now(), Vec::new());
    for mut lane in lanes {
        let stop = stop.clone();
        tasks.push(tokio::spawn(async move {
            let mut times = Times::new()?;
            while !stop.load(Ordering::Relaxed) {
                match lane.next().await {
                    Ok(Some(time)) => times.record(time),
                    Ok(None) => stop.store(true, Ordering::Relaxed),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            anyhow::Ok((times, lane))
        }));
    }
    while start.elapsed() < time && !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut all, mut lanes) = (Times::new()?, Vec::new());
    for task in tasks {
        let (times, lane) = task.await??;
        all.add(&times)?;
        lanes.push(lane);
    }
    Ok((all, start.elapsed(), lanes))
}
