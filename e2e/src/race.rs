//! Where it is decided which commit ends an epoch: many committers at a back end, each epoch, and one of them wins.
//!
//! What races here are the bodies that a service hands to its database after it has checked them: the comparison and the change are
//! made there, and the members are not needed for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hushwood_delivery::backend::{
    Backend, Committed, Incarnation, Kinds, NewCommit, NewGroup, PageLimit, Reading, RequestId, Seconds,
};
use hushwood_delivery::wire::EntryKind;
use tokio::sync::Barrier;

/// What a race was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raced {
    /// Epochs that were ended.
    pub epochs: u64,
    /// Commits that came too late.
    pub stale: u64,
    /// How long it took.
    pub time: Duration,
}

const LIFE: Incarnation = Incarnation([7; 16]);

/// All committers commit to each epoch at once, each at one of the nodes; every one is told who has won.
///
/// # Errors
/// If not exactly one wins, if somebody is told something else than the others, or if the log is not what they were told.
pub async fn race(nodes: &[Arc<dyn Backend>], committers: usize, epochs: u64) -> Result<Raced> {
    let group = b"race".to_vec();
    let first = nodes.first().context("no node")?;
    let new = NewGroup {
        group: group.clone(),
        incarnation: LIFE,
        request: request(u64::MAX, u64::MAX),
        epoch: 0,
        snapshot: Vec::new(),
        group_info: Vec::new(),
        at: Seconds(0),
    };
    first.create_group(new).await?;
    let begun = Instant::now();
    let together = Arc::new(Barrier::new(committers));
    let mut tasks = Vec::new();
    for (who, node) in (0..committers).zip(nodes.iter().cycle()) {
        let (node, group, together) = (node.clone(), group.clone(), together.clone());
        tasks.push(tokio::spawn(async move {
            let mut told = Vec::new();
            for epoch in 0..epochs {
                together.wait().await;
                let who = u64::try_from(who).unwrap_or(u64::MAX);
                told.push(node.commit(&group, commit(epoch, who)).await);
            }
            told
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await?);
    }
    let mut raced = Raced { epochs, stale: 0, time: begun.elapsed() };
    let bodies = bodies(&**first, &group).await?;
    for (epoch, body) in (0..epochs).zip(&bodies) {
        let place = usize::try_from(epoch)?;
        let mut winner = None;
        for (who, told) in all.iter().enumerate() {
            match told.get(place) {
                Some(Ok(Committed::Accepted(sequence))) if *sequence == epoch + 1 => {
                    if let Some(other) = winner.replace(who) {
                        bail!("epoch {epoch}: {other} and {who} have won");
                    }
                }
                Some(Ok(Committed::Stale { winner, .. })) if *winner == epoch + 1 => raced.stale += 1,
                other => bail!("epoch {epoch}: {who} was told {other:?}"),
            }
        }
        let winner = winner.with_context(|| format!("epoch {epoch}: nobody has won"))?;
        if *body != commit(epoch, u64::try_from(winner)?).body {
            bail!("epoch {epoch}: the log has another commit than that of {winner}");
        }
    }
    if u64::try_from(bodies.len())? != epochs {
        bail!("the log has {} entries", bodies.len());
    }
    Ok(raced)
}

async fn bodies(node: &dyn Backend, group: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut bodies = Vec::new();
    loop {
        let after = u64::try_from(bodies.len())?;
        let reading = Reading { kinds: Kinds::All, after, slot: None };
        let page = node.read(group, reading, PageLimit { entries: 1000, bytes: 8 << 20 }).await?;
        let page = page.context("the log is gone")?;
        if page.entries.is_empty() {
            return Ok(bodies);
        }
        for entry in page.entries {
            let next = u64::try_from(bodies.len())?;
            if (entry.kind, entry.epoch, entry.sequence) != (EntryKind::Commit, next, next + 1) {
                bail!("entry {} is a {:?} of epoch {}", entry.sequence, entry.kind, entry.epoch);
            }
            bodies.push(entry.body);
        }
    }
}

fn request(epoch: u64, who: u64) -> RequestId {
    let mut name = [0; 32];
    for (place, byte) in name.iter_mut().zip(epoch.to_be_bytes().into_iter().chain(who.to_be_bytes())) {
        *place = byte;
    }
    RequestId(name)
}

fn commit(epoch: u64, who: u64) -> NewCommit {
    let name = request(epoch, who);
    let mut body = name.0.to_vec();
    body.resize(256, 7);
    NewCommit {
        incarnation: LIFE,
        request: name,
        epoch,
        body,
        group_info: vec![7; 64],
        welcomes: Vec::new(),
        shared: Vec::new(),
        at: Seconds(0),
    }
}
