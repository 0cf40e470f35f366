//! Hostile connections and slow readers beside honest clients: what the honest ones notice of it, and what memory it takes.
//!
//! The node is behind a proxy that says where requests come from, so that what it knows of addresses works although all of it is on
//! one machine: honest clients have an address each, the hostile ones share a few. Connections have none: the node sees the
//! proxy's.

mod honest;
mod hostile;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::args::Engine;
use crate::net::Link;
use crate::scale::FloodScale;
use crate::service::{Service, Setup};
use honest::Honest;
use hostile::{Hostile, Kind};

pub use honest::Served;

/// What it has come to.
#[derive(Clone, Debug, Serialize)]
pub struct Flood {
    /// The database.
    pub engine: Engine,
    /// Honest clients before it.
    pub calm: Served,
    /// Honest clients during it.
    pub flooded: Served,
    /// Connections, streams and requests of each hostile kind.
    pub hostile: BTreeMap<&'static str, u64>,
    /// What the node says that it has turned away, and why.
    pub turned_away: BTreeMap<String, u64>,
    /// MiB of memory before it.
    pub before: f64,
    /// MiB of memory at the most.
    pub peak: f64,
    /// MiB of memory some time after it.
    pub after: f64,
    /// Seconds of the node's processors' time, for each second of it.
    pub processors: f64,
}

/// Looks at honest clients, begins the flood, and looks at them again.
///
/// # Errors
/// If an honest client is refused or misses something, or the node ends.
pub async fn measure(service: &Service, setup: Setup, scale: &FloodScale) -> Result<Flood> {
    let mut honest = Honest::connect(service, scale).await?;
    honest.converse(Duration::from_millis(500)).await?;
    let before = service.usage();
    let calm = honest.converse(scale.time).await?;
    service.forget_peaks();
    let hostile = Hostile::prepare(service, scale).await?;
    let counted = turned_away(service).await?;
    let flood = hostile.begin()?;
    // Until all of them are there.
    honest.converse(Duration::from_secs(2).min(scale.time)).await?;
    let begun = service.usage().processor;
    let flooded = honest.converse(scale.time).await;
    let during = service.usage();
    let counts = flood.end()?;
    service.alive()?;
    let flooded = flooded?;
    tokio::time::sleep(scale.rest).await;
    let mut turned_away = turned_away(service).await?;
    for (why, count) in &mut turned_away {
        *count -= counted.get(why).copied().unwrap_or_default().min(*count);
    }
    turned_away.retain(|_, count| *count > 0);
    // It is still there for those who come.
    drop(Link::open(service.place(0)?).await?);
    Ok(Flood {
        engine: setup.engine,
        calm,
        flooded,
        hostile: counts,
        turned_away,
        before: before.resident,
        peak: service.usage().peak,
        after: service.usage().resident,
        processors: (during.processor - begun) / scale.time.as_secs_f64(),
    })
}

/// What the node counts, by its reason.
async fn turned_away(service: &Service) -> Result<BTreeMap<String, u64>> {
    let mut socket = TcpStream::connect(service.admin()?).await?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    Ok(reasons(&text))
}

fn reasons(metrics: &str) -> BTreeMap<String, u64> {
    let reason = |line: &str| {
        let (why, count) = line.strip_prefix("hushwood_turned_away_total{why=\"")?.split_once("\"} ")?;
        Some((why.to_owned(), count.trim().parse().ok()?))
    };
    metrics.lines().filter_map(reason).collect()
}

/// The address of an honest client.
fn honest_address(number: usize) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from([10, 1, high, low])
}

/// One of the few addresses that hostile clients of a kind share.
fn hostile_address(kind: Kind, number: usize) -> IpAddr {
    let [.., low] = number.to_be_bytes();
    IpAddr::from([203, 0, 113, kind.first_address() + low % ADDRESSES])
}

/// Addresses of each kind.
const ADDRESSES: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_from_metrics() {
        let metrics = "# TYPE hushwood_turned_away counter\nhushwood_turned_away_total{why=\"silent\"} 12\n\
            hushwood_turned_away_total{why=\"requests of an address\"} 3\nhushwood_connections 7\n";
        let reasons = reasons(metrics);
        assert_eq!(reasons.get("silent"), Some(&12));
        assert_eq!(reasons.get("requests of an address"), Some(&3));
        assert_eq!(reasons.len(), 2);
    }

    #[test]
    fn honest_clients_have_an_address_each() {
        let addresses: std::collections::BTreeSet<_> = (0..1000).map(honest_address).collect();
        assert_eq!(addresses.len(), 1000);
        let hostile = |kind| (0..1000).map(move |number| hostile_address(kind, number));
        let addresses: std::collections::BTreeSet<_> = Kind::ALL.into_iter().flat_map(hostile).collect();
        assert_eq!(addresses.len(), 4 * Kind::ALL.len());
    }
}
