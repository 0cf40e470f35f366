//! Wake-ups between nodes.

use std::time::Duration;

use hushwood_delivery::backend::{AccountId, DeviceId, Hint, PostgresBackend, PostgresSettings};
use test_support::postgres::Postgres;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::node;

/// The next hint that is not about what was missed before.
async fn next(hints: &mut Receiver<Hint>) -> Option<Hint> {
    loop {
        match timeout(Duration::from_secs(5), hints.recv()).await {
            Ok(Ok(Hint::Missed)) => {}
            Ok(hint) => return hint.ok(),
            Err(_) => return None,
        }
    }
}

fn group(sequence: u64) -> Hint {
    Hint::Group { group: b"tea".to_vec(), sequence }
}

/// Tells it until the other end hears it: when a node listens is not known elsewhere.
async fn until_heard(from: &PostgresBackend, hint: Hint, hints: &mut Receiver<Hint>) {
    for _ in 0..50 {
        from.hints().tell(hint.clone());
        let heard =
            timeout(Duration::from_millis(200), async { while hints.recv().await != Ok(hint.clone()) {} });
        if heard.await.is_ok() {
            return;
        }
    }
    panic!("{hint:?} was not heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_tells_the_others_hear_and_itself_does_not() {
    let url = Postgres::shared().database();
    let (one, other) = (node(&url).await, node(&url).await);
    let (mut at_one, mut at_other) = (one.hints().listen(), other.hints().listen());
    until_heard(&one, group(1), &mut at_other).await;
    until_heard(&other, group(2), &mut at_one).await;
    one.hints().tell(group(4));
    one.hints().tell(Hint::Inbox(AccountId([1; 16]), DeviceId([2; 16])));
    while next(&mut at_other).await != Some(group(4)) {}
    assert_eq!(next(&mut at_other).await, Some(Hint::Inbox(AccountId([1; 16]), DeviceId([2; 16]))));
    other.hints().tell(group(5));
    assert_eq!(next(&mut at_one).await, Some(group(5)), "what it has told itself does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tells_too_much_says_that_something_was_missed() {
    let url = Postgres::shared().database();
    let mut settings = PostgresSettings::new(&url).unwrap();
    settings.gather_hints = Duration::from_millis(300);
    let one = PostgresBackend::open(&settings).await.unwrap();
    let other = node(&url).await;
    let mut at_other = other.hints().listen();
    until_heard(&one, group(1), &mut at_other).await;
    for number in 0..40_000_u64 {
        one.hints().tell(Hint::Group { group: number.to_be_bytes().to_vec(), sequence: 1 });
    }
    // Who listens too slowly is told the same in another way.
    let missed = async { while matches!(at_other.recv().await, Ok(Hint::Group { .. } | Hint::Inbox(..))) {} };
    timeout(Duration::from_secs(10), missed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_database_was_away_everything_counts_as_missed() {
    let server = Postgres::start(&[]);
    let url = server.database();
    let (one, other) = (node(&url).await, node(&url).await);
    let mut hints = other.hints().listen();
    until_heard(&one, group(1), &mut hints).await;
    server.kill();
    server.restart();
    let missed = async { while hints.recv().await != Ok(Hint::Missed) {} };
    timeout(Duration::from_secs(20), missed).await.unwrap();
    until_heard(&one, group(9), &mut hints).await;
}
