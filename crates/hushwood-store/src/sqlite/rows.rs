//! A write set on its way into the file, and the reads of what is there.
//!
//! SQLite overwrites what it deletes (`secure_delete`), but not the copies that stay in the gaps of its
//! pages when rows move between them. So a record that may hold secrets is sealed under a key of its own,
//! whose salt lies in a table where nothing ever moves: salts are appended, overwritten in place with
//! others of the same length, and never deleted. Overwriting the salt erases the record, wherever SQLite
//! may have left pieces of it.

use std::collections::BTreeMap;

use hushwood::transition::{PersistError, Precondition, RecordKey, RecordKind, Write, WriteSet};
use hushwood_crypto::{CryptoError, Random, Secret};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::sqlite::error::Failure;
use crate::sqlite::seal::{Name, Salt, Sealed, Sealer};

/// A write set as it goes into the file.
pub(super) struct SealedWrites {
    heads: Vec<(Name, Precondition)>,
    erased_buckets: Vec<Name>,
    rows: Vec<Row>,
}

struct Row {
    bucket: Name,
    name: Name,
    /// `None` erases.
    value: Option<Sealed>,
}

impl SealedWrites {
    pub(super) fn new(
        writes: &WriteSet,
        sealer: &Sealer,
        random: &mut dyn Random,
    ) -> Result<Self, PersistError> {
        let buckets = |instance| RecordKind::ALL.iter().map(move |kind| sealer.bucket(instance, *kind));
        let puts = writes.writes().filter(|(_, write)| matches!(write, Write::Put(_)));
        let length = puts.map(|(key, _)| Sealer::randomness(key.kind)).sum();
        // All at once: each call of the operating system's generator costs as much as sealing a row.
        let mut random = Drawn::new(random, length).map_err(|_| PersistError::Refused)?;
        let mut known = BTreeMap::new();
        let row = |(key, write): (&RecordKey, &Write)| {
            let place = (key.instance, key.kind);
            let bucket = *known.entry(place).or_insert_with(|| sealer.bucket(key.instance, key.kind));
            Row::new(bucket, (key, write), sealer, &mut random)
        };
        Ok(Self {
            heads: writes.preconditions().map(|(id, precondition)| (sealer.head(id), precondition)).collect(),
            erased_buckets: writes.erased_instances().flat_map(buckets).collect(),
            rows: writes.writes().map(row).collect::<Result<_, _>>()?,
        })
    }

    /// Checks and writes everything, in the transaction that the caller has begun: how many steps the store has then taken.
    pub(super) fn write(&self, connection: &Connection) -> Result<u64, Failure> {
        for (head, precondition) in &self.heads {
            if version(connection, head)? != precondition.expected {
                return Err(Failure::Stale);
            }
        }
        for bucket in &self.erased_buckets {
            erase_bucket(connection, bucket)?;
        }
        for Row { bucket, name, value } in &self.rows {
            match value {
                Some(value) => put(connection, (bucket, name), value)?,
                None => erase(connection, (bucket, name))?,
            }
        }
        let mut advance = connection.prepare_cached("INSERT OR REPLACE INTO heads VALUES (?1, ?2)")?;
        for (head, precondition) in &self.heads {
            advance.execute(params![head, precondition.next])?;
        }
        let mut count = connection.prepare_cached("UPDATE store SET steps = steps + 1 RETURNING steps")?;
        Ok(count.query_row([], |row| row.get(0))?)
    }
}

impl Row {
    fn new(
        bucket: Name,
        (key, write): (&RecordKey, &Write),
        sealer: &Sealer,
        random: &mut dyn Random,
    ) -> Result<Self, PersistError> {
        let name = sealer.name(key);
        let value = match write {
            // No randomness, or too long for the cipher: nothing has been begun.
            Write::Put(content) => {
                Some(sealer.seal((&bucket, &name), key, content, random).map_err(|_| PersistError::Refused)?)
            }
            Write::Erase => None,
        };
        Ok(Self { bucket, name, value })
    }
}

/// Random bytes that were drawn before, each given once.
struct Drawn {
    bytes: Secret,
    given: usize,
}

impl Drawn {
    fn new(random: &mut dyn Random, length: usize) -> Result<Self, CryptoError> {
        // What needs none is written where there is none.
        let bytes = if length == 0 { Secret::zero(0) } else { random.secret(length)? };
        Ok(Self { bytes, given: 0 })
    }
}

impl Random for Drawn {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        let end = self.given.saturating_add(bytes.len());
        bytes.copy_from_slice(self.bytes.expose().get(self.given..end).ok_or(CryptoError::Random)?);
        self.given = end;
        Ok(())
    }
}

/// The version of an instance, 0 if there is none.
pub(super) fn version(connection: &Connection, head: &Name) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached("SELECT version FROM heads WHERE name = ?1")?;
    Ok(select.query_row([head], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// A record.
pub(super) fn get(connection: &Connection, place: (&Name, &Name)) -> rusqlite::Result<Option<Sealed>> {
    let mut select = connection.prepare_cached(
        "SELECT value, salt FROM records LEFT JOIN salts USING (slot) WHERE bucket = ?1 AND name = ?2",
    )?;
    select
        .query_row([place.0, place.1], |row| Ok(Sealed { value: row.get(0)?, salt: row.get(1)? }))
        .optional()
}

/// All records of some buckets, with bucket and name.
pub(super) fn list<'b>(
    connection: &Connection,
    buckets: impl ExactSizeIterator<Item = &'b Name>,
) -> rusqlite::Result<Vec<(Name, Name, Sealed)>> {
    let places = vec!["?"; buckets.len()].join(",");
    let mut select = connection.prepare_cached(&format!(
        "SELECT bucket, name, value, salt FROM records LEFT JOIN salts USING (slot) WHERE bucket IN ({places})",
    ))?;
    let rows = select.query_map(params_from_iter(buckets), |row| {
        Ok((row.get(0)?, row.get(1)?, Sealed { value: row.get(2)?, salt: row.get(3)? }))
    })?;
    rows.collect()
}

fn put(connection: &Connection, (bucket, name): (&Name, &Name), sealed: &Sealed) -> rusqlite::Result<()> {
    let slot = match &sealed.salt {
        Some(salt) => Some(put_salt(connection, (bucket, name), salt)?),
        None => None,
    };
    let mut put = connection.prepare_cached("INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4)")?;
    put.execute(params![bucket, name, slot, sealed.value])?;
    Ok(())
}

/// Writes a salt over the one that the record had, over one that is free, or at the end.
fn put_salt(connection: &Connection, (bucket, name): (&Name, &Name), salt: &Salt) -> rusqlite::Result<i64> {
    let mut own = connection.prepare_cached("SELECT slot FROM records WHERE bucket = ?1 AND name = ?2")?;
    let own: Option<Option<i64>> = own.query_row([bucket, name], |row| row.get(0)).optional()?;
    if let Some(slot) = own.flatten() {
        let mut update = connection.prepare_cached("UPDATE salts SET salt = ?2 WHERE slot = ?1")?;
        update.execute(params![slot, salt])?;
        return Ok(slot);
    }
    let mut free = connection.prepare_cached("SELECT slot FROM salts WHERE free = 1 LIMIT 1")?;
    let free: Option<i64> = free.query_row([], |row| row.get(0)).optional()?;
    if let Some(slot) = free {
        let mut update = connection.prepare_cached("UPDATE salts SET salt = ?2, free = 0 WHERE slot = ?1")?;
        update.execute(params![slot, salt])?;
        return Ok(slot);
    }
    connection.prepare_cached("INSERT INTO salts (salt, free) VALUES (?1, 0)")?.insert([salt])
}

fn erase(connection: &Connection, (bucket, name): (&Name, &Name)) -> rusqlite::Result<()> {
    let mut efface = connection.prepare_cached(
        "UPDATE salts SET salt = zeroblob(32), free = 1
         WHERE slot = (SELECT slot FROM records WHERE bucket = ?1 AND name = ?2)",
    )?;
    efface.execute([bucket, name])?;
    let mut delete = connection.prepare_cached("DELETE FROM records WHERE bucket = ?1 AND name = ?2")?;
    delete.execute([bucket, name])?;
    Ok(())
}

fn erase_bucket(connection: &Connection, bucket: &Name) -> rusqlite::Result<()> {
    let mut efface = connection.prepare_cached(
        "UPDATE salts SET salt = zeroblob(32), free = 1
         WHERE slot IN (SELECT slot FROM records WHERE bucket = ?1)",
    )?;
    efface.execute([bucket])?;
    connection.prepare_cached("DELETE FROM records WHERE bucket = ?1")?.execute([bucket])?;
    Ok(())
}
