//! The database is killed under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hushwood_delivery::backend::{Appended, Backend, BackendError, Committed, RequestId};
use test_support::postgres::Postgres;

use crate::{check_order, commit, create, log, message, node};

const GROUPS: u8 = 4;

/// What a client was told: the number that a request of its own has in a group's log.
type Told = Vec<(u8, RequestId, u64)>;

/// Asks until there is an answer, with the same request.
async fn surely<T, F: Future<Output = Result<T, BackendError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(BackendError::Busy | BackendError::Unavailable(_) | BackendError::Unknown(_)) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn send(node: Arc<dyn Backend>, who: u8, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) -> Told {
    let mut told = Vec::new();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let group = u8::try_from((number + u64::from(who)) % u64::from(GROUPS)).unwrap();
        let new = message(number, who);
        let id = [group];
        match surely(|| node.append(&id, new.clone())).await {
            Appended::Accepted(sequence) | Appended::Duplicate(sequence) => {
                told.push((group, new.request, sequence))
            }
            other => panic!("{other:?}"),
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    told
}

/// Epochs that this committer has won in its group.
async fn end_epochs(node: Arc<dyn Backend>, who: u8, stop: Arc<AtomicBool>) -> (u8, BTreeMap<u64, u64>) {
    let (group, mut epoch, mut won) = (who % GROUPS, 0, BTreeMap::new());
    while !stop.load(Ordering::Relaxed) {
        let new = commit(epoch, who);
        let id = [group];
        match surely(|| node.commit(&id, new.clone())).await {
            Committed::Accepted(sequence) | Committed::Duplicate(sequence) => {
                won.insert(epoch, sequence);
                epoch += 1;
            }
            Committed::Stale { epoch: current, .. } => epoch = current.max(epoch),
            Committed::NoGroup => panic!("the group is gone"),
        }
    }
    (who, won)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_the_database_was_killed_is_there() {
    let server = Postgres::start(&[]);
    let url = server.database();
    let nodes: [Arc<dyn Backend>; 2] = [node(&url).await, node(&url).await];
    for group in 0..GROUPS {
        create(&*nodes[0], &[group]).await;
    }
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let of = |who: u8| nodes[usize::from(who) % 2].clone();
    let senders: Vec<_> =
        (0..16).map(|who| tokio::spawn(send(of(who), who, stop.clone(), count.clone()))).collect();
    let committers: Vec<_> =
        (100..108).map(|who| tokio::spawn(end_epochs(of(who), who, stop.clone()))).collect();
    for kill in 1..=3 {
        let enough = count.load(Ordering::Relaxed) + 300;
        while count.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| {
            server.kill();
            server.restart();
        });
        assert!(kill <= 3);
    }
    let enough = count.load(Ordering::Relaxed) + 100;
    while count.load(Ordering::Relaxed) < enough {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);

    let mut logs = Vec::new();
    let (mut told, mut won) = (Vec::new(), Vec::new());
    for sender in senders {
        told.extend(sender.await.unwrap());
    }
    for committer in committers {
        won.push(committer.await.unwrap());
    }
    for group in 0..GROUPS {
        let log = log(&*nodes[1], &[group]).await;
        check_order(&log);
        logs.push(log);
    }
    for (group, request, sequence) in &told {
        let entry = &logs[usize::from(*group)][usize::try_from(*sequence).unwrap() - 1];
        assert_eq!(entry.body, request.0, "what was acknowledged stands where it was said to");
    }
    let mut commits = 0;
    for (who, epochs) in &won {
        for (epoch, sequence) in epochs {
            let entry = &logs[usize::from(who % GROUPS)][usize::try_from(*sequence).unwrap() - 1];
            assert_eq!((entry.epoch, entry.body.as_slice()), (*epoch, [*who].as_slice()));
            commits += 1;
        }
    }
    let entries: usize = logs.iter().map(Vec::len).sum();
    assert_eq!(entries, told.len() + commits, "nothing is there twice, and nothing that nobody asked for");
}
