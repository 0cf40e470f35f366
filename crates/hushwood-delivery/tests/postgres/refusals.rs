//! What goes wrong, and what is said then.

use std::time::Duration;

use hushwood_delivery::backend::{
    Appended, Backend, BackendError, Committed, PostgresBackend, PostgresSettings,
};
use test_support::postgres::Postgres;

use crate::proxy::{Commit, Proxy};
use crate::{check_order, commit, create, log, message, node};

async fn refusal(url: &str) -> String {
    match PostgresBackend::open(&PostgresSettings::new(url).unwrap()).await.unwrap_err() {
        BackendError::Unavailable(why) => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_refused() {
    let server = Postgres::start(&[("fsync", "off")]);
    let why = refusal(&server.database()).await;
    assert!(why.contains("fsync=off"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let server = Postgres::start(&[]);
    let url = server.database();
    server.kill();
    server.put_file("data/standby.signal", b"");
    server.restart();
    let why = refusal(&url).await;
    assert!(why.contains("standby"), "{why}");
}

#[tokio::test]
async fn an_address_without_a_server_is_said() {
    let why = refusal("postgres://nobody@127.0.0.1:1/nothing").await;
    assert!(why.contains("connect"), "{why}");
}

#[tokio::test]
async fn a_wrong_password_is_said() {
    let server = Postgres::shared();
    let url = server.tcp_url(&server.database()).replace(":only-for-tests@", ":wrong@");
    let why = refusal(&url).await;
    assert!(why.contains("password authentication failed"), "{why}");
}

#[tokio::test]
async fn tables_of_a_newer_program_are_left_alone() {
    let server = Postgres::shared();
    let url = server.database();
    drop(node(&url).await);
    let database = url.rsplit('/').next().unwrap();
    server.sql(database, "INSERT INTO hushwood_migrations (version) VALUES (9999)");
    let why = refusal(&url).await;
    assert!(why.contains("9999"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_make_the_tables_once() {
    let url = Postgres::shared().database();
    let nodes: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { node(&url).await }
            })
        })
        .collect();
    for node in nodes {
        node.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_database_do_not_weaken_what_is_written() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    server.sql(database, &format!("ALTER DATABASE {database} SET synchronous_commit = off"));
    server.sql(
        database,
        &format!("ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'"),
    );
    let backend = node(&url).await;
    create(&*backend, b"tea").await;
    // A session of ours, asked by itself: a trigger notes what a write is made with.
    server.sql(
        database,
        "CREATE TABLE seen (setting text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('synchronous_commit') || ' ' || current_setting('transaction_isolation'));
            RETURN NEW; END $$;
         CREATE TRIGGER note BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION note()",
    );
    backend.append(b"tea", message(1, 1)).await.unwrap();
    assert_eq!(server.sql(database, "SELECT setting FROM seen").trim(), "on read committed");
}

/// On one thread, so that all of them wait before the first transaction begins.
#[tokio::test]
async fn one_that_the_database_refuses_does_not_fail_the_others() {
    let server = Postgres::shared();
    let url = server.database();
    let backend = node(&url).await;
    for group in [b"one", b"two"] {
        create(&*backend, group).await;
    }
    server.sql(url.rsplit('/').next().unwrap(), "ALTER TABLE log ADD CHECK (octet_length(body) < 100)");
    let mut long = message(2, 1);
    long.body = vec![0; 200];
    let (first, refused, third, other) = tokio::join!(
        backend.append(b"one", message(1, 1)),
        backend.append(b"one", long),
        backend.append(b"one", message(3, 1)),
        backend.commit(b"two", commit(0, 1)),
    );
    assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");
    assert_eq!((first, third), (Ok(Appended::Accepted(1)), Ok(Appended::Accepted(2))));
    assert_eq!(other, Ok(Committed::Accepted(1)));
    check_order(&log(&*backend, b"one").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_somebody_else_holds_does_not_stop_the_others() {
    let url = Postgres::shared().database();
    let backend = node(&url).await;
    for group in [b"held", b"free"] {
        create(&*backend, group).await;
    }
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT 1 FROM groups WHERE gid = 'held' FOR UPDATE").await.unwrap();
    let (held, free) =
        tokio::join!(backend.append(b"held", message(1, 1)), backend.append(b"free", message(1, 1)));
    assert_eq!((held, free), (Err(BackendError::Busy), Ok(Appended::Accepted(1))));
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(backend.append(b"held", message(1, 1)).await, Ok(Appended::Accepted(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_fence_holds_where_the_first_is_broken() {
    let server = Postgres::shared();
    let url = server.database();
    let backend = node(&url).await;
    create(&*backend, b"tea").await;
    assert_eq!(backend.commit(b"tea", commit(0, 1)).await, Ok(Committed::Accepted(1)));
    // As if a head had been restored from a backup that is older than its log.
    server.sql(url.rsplit('/').next().unwrap(), "UPDATE groups SET epoch = 0 WHERE gid = 'tea'");
    let forked = backend.commit(b"tea", commit(0, 2)).await;
    assert!(matches!(forked, Err(BackendError::Corrupt(_))), "{forked:?}");
    assert_eq!(log(&*backend, b"tea").await.len(), 1);
}

/// A node whose connections go through a wire that can be cut.
async fn node_behind_a_proxy() -> (PostgresBackend, Proxy) {
    let server = Postgres::shared();
    let url = server.tcp_url(&server.database());
    let proxy = Proxy::before(server.port()).await;
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port));
    let backend = PostgresBackend::open(&PostgresSettings::new(&url).unwrap()).await.unwrap();
    (backend, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_unknown_and_the_same_request_finds_it() {
    let (backend, proxy) = node_behind_a_proxy().await;
    create(&backend, b"tea").await;
    proxy.next_commit(Commit::AnswerLost);
    let lost = backend.commit(b"tea", commit(0, 1)).await;
    assert!(matches!(lost, Err(BackendError::Unknown(_))), "{lost:?}");
    assert_eq!(backend.commit(b"tea", commit(0, 1)).await, Ok(Committed::Duplicate(1)));
    let other = backend.commit(b"tea", commit(0, 2)).await;
    assert_eq!(other, Ok(Committed::Stale { epoch: 1, winner: 1 }));

    proxy.next_commit(Commit::AnswerLost);
    let lost = backend.append(b"tea", message(1, 1)).await;
    assert!(matches!(lost, Err(BackendError::Unknown(_))), "{lost:?}");
    assert_eq!(backend.append(b"tea", message(1, 1)).await, Ok(Appended::Duplicate(2)));
    check_order(&log(&backend, b"tea").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_did_not_arrive_is_unknown_and_the_same_request_makes_it() {
    let (backend, proxy) = node_behind_a_proxy().await;
    create(&backend, b"tea").await;
    proxy.next_commit(Commit::Lost);
    let lost = backend.commit(b"tea", commit(0, 1)).await;
    assert!(matches!(lost, Err(BackendError::Unknown(_))), "{lost:?}");
    assert_eq!(backend.commit(b"tea", commit(0, 1)).await, Ok(Committed::Accepted(1)));
    proxy.next_commit(Commit::Passes);
    assert_eq!(backend.commit(b"tea", commit(1, 1)).await, Ok(Committed::Accepted(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_is_noticed() {
    let server = Postgres::start(&[]);
    let url = server.database();
    let mut settings = PostgresSettings::new(&url).unwrap();
    settings.patience = Duration::from_millis(500);
    let backend = PostgresBackend::open(&settings).await.unwrap();
    create(&backend, b"tea").await;
    assert_eq!(backend.append(b"tea", message(1, 1)).await, Ok(Appended::Accepted(1)));
    server.pause();
    assert!(matches!(backend.head(b"tea").await, Err(BackendError::Unavailable(_))));
    let hangs = backend.append(b"tea", message(2, 1)).await;
    assert!(matches!(hangs, Err(BackendError::Unavailable(_))), "nothing was asked to be written: {hangs:?}");
    server.resume();
    // It may still be busy with what was asked before.
    let mut answer = backend.append(b"tea", message(2, 1)).await;
    for _ in 0..100 {
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = backend.append(b"tea", message(2, 1)).await;
    }
    assert!(matches!(answer, Ok(Appended::Accepted(2) | Appended::Duplicate(2))), "{answer:?}");
}
