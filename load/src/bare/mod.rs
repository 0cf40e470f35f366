//! What disk and engine do by themselves: the least that makes an entry of a log durable, with the sizes that the service has.

mod postgres;
mod sqlite;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::args::Engine;
use crate::chain::{Sizes, What};
use crate::closed::Rate;
use crate::times::Times;

pub use postgres::postgres;
pub use sqlite::sqlite;

/// How often the disk makes a KiB durable, one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// In a second.
    pub per_second: f64,
    /// Milliseconds at the median.
    pub p50: f64,
    /// Milliseconds that one in a hundred exceeds.
    pub p99: f64,
}

/// Appends to a file and waits until it is on the disk, again and again.
///
/// # Errors
/// Of the file system.
pub fn disk(folder: &Path, time: Duration) -> Result<Disk> {
    let mut file = File::create(folder.join("disk"))?;
    let (start, mut times) = (Instant::now(), Times::new()?);
    while start.elapsed() < time {
        let one = Instant::now();
        file.write_all(&[7; 1024])?;
        file.sync_data()?;
        times.record(one.elapsed());
    }
    let per_second = f64::from(u32::try_from(times.len())?) / start.elapsed().as_secs_f64();
    Ok(Disk { per_second, p50: times.percentile(50.0), p99: times.percentile(99.0) })
}

/// What is written of an entry.
#[derive(Clone)]
struct Entry {
    what: What,
    body: Vec<u8>,
    group_info: Vec<u8>,
}

impl Entry {
    fn all(sizes: Sizes) -> [Self; 2] {
        let one =
            |what, body, group_info| Self { what, body: vec![7; body], group_info: vec![7; group_info] };
        [
            one(What::Commits, sizes.commit, sizes.group_info),
            one(What::Messages, sizes.message, sizes.group_info),
        ]
    }
}

/// So many entries shared each of these transactions.
fn rate(
    engine: Engine,
    what: What,
    (writers, batch): (usize, usize),
    (times, took): (&Times, Duration),
) -> Result<Rate> {
    let entries = f64::from(u32::try_from(times.len())?) * f64::from(u32::try_from(batch)?);
    Ok(Rate {
        engine,
        nodes: 0,
        what,
        writers,
        batch,
        per_second: entries / took.as_secs_f64(),
        p50: times.percentile(50.0),
        p99: times.percentile(99.0),
        processor: 0.0,
        memory: 0.0,
    })
}
