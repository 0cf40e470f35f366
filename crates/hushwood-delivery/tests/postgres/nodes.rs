//! Several nodes on one database.

use std::collections::BTreeSet;
use std::sync::Arc;

use hushwood_delivery::backend::{
    AccountId, Backend, Claim, Committed, Cursor, DeviceId, NewDevice, NewKeyPackage, PageLimit, Registered,
    Seconds, SlotId,
};
use test_support::postgres::Postgres;

use crate::{check_order, commit, create, log, message, node};

async fn nodes<const N: usize>() -> [Arc<dyn Backend>; N] {
    let url = Postgres::shared().database();
    let mut nodes: Vec<Arc<dyn Backend>> = Vec::new();
    for _ in 0..N {
        nodes.push(node(&url).await);
    }
    nodes.try_into().ok().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_committers_on_three_nodes_one_wins_each_epoch() {
    const EPOCHS: u64 = 300;
    let nodes = nodes::<3>().await;
    create(&*nodes[0], b"tea").await;
    let committers = (0..64_u8).map(|who| {
        let node = nodes[usize::from(who) % 3].clone();
        tokio::spawn(async move {
            let mut won = Vec::new();
            for epoch in 0..EPOCHS {
                match node.commit(b"tea", commit(epoch, who)).await.unwrap() {
                    Committed::Accepted(sequence) => {
                        assert_eq!(sequence, epoch + 1);
                        won.push(epoch);
                    }
                    Committed::Stale { epoch: current, winner } => {
                        assert!(current > epoch, "nobody is ahead of the head");
                        assert_eq!(winner, epoch + 1, "the winner is named");
                    }
                    other => panic!("{other:?}"),
                }
            }
            (who, won)
        })
    });
    let committers: Vec<_> = committers.collect();
    let mut winners = vec![None; usize::try_from(EPOCHS).unwrap()];
    for committer in committers {
        let (who, won) = committer.await.unwrap();
        for epoch in won {
            let before = winners[usize::try_from(epoch).unwrap()].replace(who);
            assert_eq!(before, None, "epoch {epoch} was won twice");
        }
    }
    let log = log(&*nodes[1], b"tea").await;
    check_order(&log);
    let of_log: Vec<_> = log.iter().map(|entry| Some(entry.body[0])).collect();
    assert_eq!(winners, of_log, "each epoch has the winner that was told so");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_write_to_many_groups_at_once_do_not_wait_for_each_other_forever() {
    let nodes = nodes::<3>().await;
    let groups: Vec<Vec<u8>> = (0..20_u8).map(|group| vec![group; 32]).collect();
    for group in &groups {
        create(&*nodes[0], group).await;
    }
    let writers = (0..48_u8).map(|who| {
        let (node, groups) = (nodes[usize::from(who) % 3].clone(), groups.clone());
        tokio::spawn(async move {
            for number in 0..40_u64 {
                let group = &groups[(usize::from(who) * 7 + usize::try_from(number).unwrap()) % groups.len()];
                let appended = node.append(group, message(number, who)).await;
                assert!(
                    matches!(appended, Ok(hushwood_delivery::backend::Appended::Accepted(_))),
                    "{appended:?}"
                );
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut all = 0;
    for group in &groups {
        let log = log(&*nodes[2], group).await;
        check_order(&log);
        all += log.len();
    }
    assert_eq!(all, 48 * 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn claimers_on_two_nodes_get_different_key_packages() {
    let nodes = nodes::<2>().await;
    let (account, device) = (AccountId([1; 16]), DeviceId([2; 16]));
    let new = NewDevice {
        account,
        name: "carol".to_owned(),
        look: "carol".to_owned(),
        device,
        key: vec![1],
        first: true,
        most: 3,
        invite: None,
        at: Seconds(0),
    };
    assert_eq!(nodes[0].register(new).await, Ok(Registered::Registered));
    let package = |number: u64, last_resort| NewKeyPackage {
        reference: number.to_be_bytes().to_vec(),
        suite: 1,
        not_after: Seconds(100),
        last_resort,
        reserved: false,
        body: number.to_be_bytes().to_vec(),
    };
    let packages = (0..200).map(|number| package(number, false)).chain([package(999, true)]).collect();
    nodes[1].publish(account, device, packages, (1000, Seconds(0))).await.unwrap();
    let claimers = (0..64_usize).map(|who| {
        let node = nodes[who % 2].clone();
        tokio::spawn(async move {
            let inbox = PageLimit { entries: 100, bytes: 1 << 20 };
            let claim = Claim { account, device: None, suite: 1, last_resort: false, now: Seconds(0), inbox };
            let mut claimed = Vec::new();
            for _ in 0..4 {
                claimed.extend(node.claim(claim.clone()).await.unwrap().packages);
            }
            claimed
        })
    });
    let claimers: Vec<_> = claimers.collect();
    let (mut given, mut last_resorts) = (BTreeSet::new(), 0);
    for claimer in claimers {
        for package in claimer.await.unwrap() {
            assert_eq!(package.reference, package.body);
            if package.last_resort {
                last_resorts += 1;
            } else {
                assert!(given.insert(package.reference), "one was given twice");
            }
        }
    }
    assert_eq!((given.len(), last_resorts), (200, 64 * 4 - 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_that_register_a_name_one_does() {
    let nodes = nodes::<2>().await;
    for round in 0..20_u8 {
        let new = |who: u8| NewDevice {
            account: AccountId([who; 16]),
            name: format!("name {round}"),
            look: format!("look {round}"),
            device: DeviceId([round; 16]),
            key: vec![1],
            first: true,
            most: 3,
            invite: None,
            at: Seconds(0),
        };
        let (one, other) =
            tokio::join!(nodes[0].register(new(2 * round + 1)), nodes[1].register(new(2 * round + 2)));
        let mut answers = [one.unwrap(), other.unwrap()];
        answers.sort_by_key(|answer| format!("{answer:?}"));
        assert_eq!(answers, [Registered::NameTaken, Registered::Registered], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_registration_on_two_nodes_is_one() {
    let nodes = nodes::<2>().await;
    for round in 0..20_u8 {
        let new = NewDevice {
            account: AccountId([round; 16]),
            name: format!("name {round}"),
            look: format!("look {round}"),
            device: DeviceId([round; 16]),
            key: vec![1],
            first: true,
            most: 3,
            invite: None,
            at: Seconds(0),
        };
        let (one, other) = tokio::join!(nodes[0].register(new.clone()), nodes[1].register(new));
        assert_eq!((one, other), (Ok(Registered::Registered), Ok(Registered::Registered)), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_of_one_slot_from_two_nodes_go_forward() {
    let nodes = nodes::<2>().await;
    create(&*nodes[0], b"tea").await;
    for number in 0..50 {
        nodes[0].append(b"tea", message(number, 1)).await.unwrap();
    }
    let movers = (0..50_u64).map(|sequence| {
        let node = nodes[usize::from(sequence % 2 == 0)].clone();
        tokio::spawn(async move {
            let slots = [SlotId([1; 16]), SlotId([2; 16])];
            let cursors = slots.map(|slot| Cursor { slot, sequence, at: Seconds(sequence) });
            node.move_cursors(b"tea", cursors.to_vec()).await
        })
    });
    for mover in movers.collect::<Vec<_>>() {
        mover.await.unwrap().unwrap();
    }
    let reading = hushwood_delivery::backend::Reading {
        kinds: hushwood_delivery::backend::Kinds::All,
        after: 50,
        slot: Some(SlotId([2; 16])),
    };
    let page = nodes[0].read(b"tea", reading, PageLimit { entries: 1, bytes: 1 }).await.unwrap().unwrap();
    assert_eq!(page.cursor.unwrap().sequence, 49);
}
