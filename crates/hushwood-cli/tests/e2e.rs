//! Bots and a service that are killed at random, behind a network that misbehaves: a small version of `cargo xtask e2e`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use e2e::campaign::Campaign;
use e2e::service::Database;

fn nothing_is_broken(database: Database, seed: u64) {
    let campaign = Campaign {
        program: env!("CARGO_BIN_EXE_hushwood").into(),
        database,
        nodes: 2,
        bots: 4,
        kills: 10,
        seed,
        pace: 2000,
        failures: Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e"),
    };
    let outcome = campaign.quick().run().unwrap();
    println!("{}", outcome.figures);
    let findings: Vec<_> = outcome.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{findings:#?}\nwhat is left of it is in {:?}", outcome.folder);
    assert!(outcome.figures.messages > 0 && outcome.figures.epochs > 0, "nothing has happened");
}

#[test]
fn on_sqlite_nothing_is_lost_or_told_twice() {
    nothing_is_broken(Database::Sqlite, 1);
}

#[test]
fn on_postgresql_nothing_is_lost_or_told_twice() {
    nothing_is_broken(Database::Postgres, 2);
}
