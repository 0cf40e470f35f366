//! SQLite by itself: one writer, as it has it, and as many entries in a transaction as writers wait.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};

use crate::args::Engine;
use crate::bare::{Entry, rate};
use crate::chain::{Sizes, What};
use crate::closed::Rate;
use crate::times::Times;

/// The most that the service puts into one transaction.
const BATCH: usize = 64;

/// Measures it, with a database of its own.
///
/// # Errors
/// Of the engine.
pub fn sqlite(
    folder: &Path,
    sizes: Sizes,
    (writers, time): (&[usize], Duration),
    mut tell: impl FnMut(&Rate),
) -> Result<Vec<Rate>> {
    let connection = Connection::open(folder.join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE groups (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, group_info BLOB);
        CREATE TABLE log (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, sequence INTEGER NOT NULL, body BLOB NOT NULL);
        CREATE UNIQUE INDEX log_sequence ON log (grp, sequence);",
    )?;
    for group in 0..i64::try_from(BATCH)? {
        connection.execute("INSERT INTO groups VALUES (?1, 0, 0, NULL)", [group])?;
    }
    let mut rates = Vec::new();
    for entry in Entry::all(sizes) {
        for &writers in writers.iter().filter(|writers| **writers <= BATCH) {
            let (start, mut times) = (Instant::now(), Times::new()?);
            while start.elapsed() < time {
                let one = Instant::now();
                transaction(&connection, &entry, writers)?;
                times.record(one.elapsed());
            }
            let measured = (&times, start.elapsed());
            let rate = rate(Engine::Sqlite, entry.what, (writers, writers), measured)?;
            tell(&rate);
            rates.push(rate);
        }
    }
    Ok(rates)
}

fn transaction(connection: &Connection, entry: &Entry, batch: usize) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for group in 0..i64::try_from(batch)? {
        let moved = match entry.what {
            What::Messages => connection
                .prepare_cached("UPDATE groups SET sequence = sequence + 1 WHERE id = ?1")?
                .execute(params![group])?,
            What::Commits => connection
                .prepare_cached(
                    "UPDATE groups SET epoch = epoch + 1, sequence = sequence + 1, group_info = ?2 WHERE id = ?1",
                )?
                .execute(params![group, entry.group_info])?,
        };
        ensure!(moved == 1, "a head is not there");
        connection
            .prepare_cached(
                "INSERT INTO log (grp, sequence, body) SELECT id, sequence, ?2 FROM groups WHERE id = ?1",
            )?
            .execute(params![group, entry.body])?;
    }
    Ok(connection.execute_batch("COMMIT")?)
}
