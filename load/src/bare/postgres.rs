//! PostgreSQL by itself: with as many connections as a node writes with, and with one for each writer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hushwood_delivery::backend::PostgresSettings;
use tokio_postgres::{Client, NoTls};

use crate::args::Engine;
use crate::bare::{Entry, rate};
use crate::chain::{Sizes, What};
use crate::closed::Rate;
use crate::times::Times;

/// More than this have no connection each.
const MOST_CONNECTIONS: usize = 64;

/// Measures it, with tables of its own.
///
/// # Errors
/// Of the engine.
pub async fn postgres(
    url: &str,
    sizes: Sizes,
    (writers, time): (&[usize], Duration),
    mut tell: impl FnMut(&Rate),
) -> Result<Vec<Rate>> {
    let settings = PostgresSettings::new(url)?;
    let client = connect(url).await?;
    client
        .batch_execute(
            "CREATE TABLE bare_groups (gid bytea PRIMARY KEY, epoch bigint NOT NULL, sequence bigint NOT NULL) WITH (fillfactor = 50);
            CREATE TABLE bare_infos (gid bytea PRIMARY KEY, body bytea NOT NULL);
            CREATE TABLE bare_log (gid bytea NOT NULL, sequence bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (gid, sequence));",
        )
        .await?;
    let mut rates = Vec::new();
    for entry in Entry::all(sizes) {
        for &writers in writers {
            let lanes = writers.min(settings.lanes);
            let mut ways = vec![(lanes, writers.div_ceil(lanes).min(settings.batch))];
            if (lanes + 1..=MOST_CONNECTIONS).contains(&writers) {
                ways.push((writers, 1));
            }
            for (connections, batch) in ways {
                let (times, took) = side_by_side(url, &entry, (connections, batch), time).await?;
                let rate = rate(Engine::Postgres, entry.what, (writers, batch), (&times, took))?;
                tell(&rate);
                rates.push(rate);
            }
        }
    }
    Ok(rates)
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Each connection with groups of its own.
async fn side_by_side(
    url: &str,
    entry: &Entry,
    (connections, batch): (usize, usize),
    time: Duration,
) -> Result<(Times, Duration)> {
    let mut writers = Vec::new();
    for number in 0..connections {
        let client = connect(url).await?;
        let groups = (0..batch).map(|group| format!("{connections}-{batch}-{number}-{group}").into_bytes());
        let groups: Vec<_> = groups.collect();
        let new = "INSERT INTO bare_groups SELECT unnest($1::bytea[]), 0, 0 ON CONFLICT DO NOTHING";
        client.execute(new, &[&groups]).await?;
        let new = "INSERT INTO bare_infos SELECT unnest($1::bytea[]), '' ON CONFLICT DO NOTHING";
        client.execute(new, &[&groups]).await?;
        writers.push((client, groups));
    }
    let (start, mut tasks) = (Instant::now(), Vec::new());
    for (client, groups) in writers {
        let entry = entry.clone();
        tasks.push(tokio::spawn(async move {
            let statement = client.prepare(statement(entry.what)).await?;
            let bodies: Vec<_> = groups.iter().map(|_| entry.body.as_slice()).collect();
            let infos: Vec<_> = groups.iter().map(|_| entry.group_info.as_slice()).collect();
            let mut times = Times::new()?;
            while start.elapsed() < time {
                let one = Instant::now();
                let written = match entry.what {
                    What::Messages => client.execute(&statement, &[&groups, &bodies]).await?,
                    What::Commits => client.execute(&statement, &[&groups, &bodies, &infos]).await?,
                };
                ensure!(written == u64::try_from(groups.len())?, "a head is not there");
                times.record(one.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut all = Times::new()?;
    for task in tasks {
        all.add(&task.await??)?;
    }
    Ok((all, start.elapsed()))
}

/// Heads that move, and what stands behind them, in one statement, which is a transaction.
fn statement(what: What) -> &'static str {
    match what {
        What::Messages => {
            "WITH moved AS (
                UPDATE bare_groups SET sequence = bare_groups.sequence + 1 FROM unnest($1::bytea[], $2::bytea[]) AS entry (gid, body)
                WHERE bare_groups.gid = entry.gid RETURNING bare_groups.gid, bare_groups.sequence, entry.body
            ) INSERT INTO bare_log SELECT gid, sequence, body FROM moved"
        }
        What::Commits => {
            "WITH moved AS (
                UPDATE bare_groups SET epoch = bare_groups.epoch + 1, sequence = bare_groups.sequence + 1
                FROM unnest($1::bytea[], $2::bytea[]) AS entry (gid, body)
                WHERE bare_groups.gid = entry.gid RETURNING bare_groups.gid, bare_groups.sequence, entry.body
            ), infos AS (
                UPDATE bare_infos SET body = info.body FROM unnest($1::bytea[], $3::bytea[]) AS info (gid, body)
                WHERE bare_infos.gid = info.gid
            ) INSERT INTO bare_log SELECT gid, sequence, body FROM moved"
        }
    }
}
