//! The service: `hushwood serve`, each node a process, and its database.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::process::{Guard, Process};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use test_support::postgres::Postgres;

use crate::args::Engine;
use crate::client::SERVICE;
use crate::net::Place;
use crate::usage::{self, Usage};

/// What there is to be.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Which database.
    pub engine: Engine,
    /// How many nodes.
    pub nodes: usize,
    /// Without TLS, as behind a proxy that names clients' addresses.
    pub behind_proxy: bool,
}

/// The nodes, and their database. All of it ends when this is dropped.
pub struct Service {
    nodes: Vec<Node>,
    _database: Option<Postgres>,
}

struct Node {
    process: Process,
    id: u32,
    place: Place,
    admin: SocketAddr,
}

impl Service {
    /// Starts database and nodes, with what they need in a folder of their own.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start(program: &Path, folder: &Path, setup: Setup) -> Result<Self> {
        let guard = Guard::new()?;
        let certificate = certificate(folder)?;
        let database = match setup.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres()),
        };
        let url = database.as_ref().map(Postgres::database);
        let mut nodes = Vec::new();
        for number in 0..setup.nodes {
            let data = folder.join(format!("node{number}"));
            let mut command = Command::new(program);
            command.args(["serve", "--json", "--name", SERVICE, "--port", "0", "--admin", "127.0.0.1:0"]);
            command.args(["--log", "warn"]).arg("--data").arg(&data).env_remove("HUSHWOOD_DATABASE");
            match setup.behind_proxy {
                true => command.args(["--plain", "--forwarded"]),
                false => {
                    let (chain, key) = (folder.join(CHAIN), folder.join(KEY));
                    command.arg("--tls-cert").arg(chain).arg("--tls-key").arg(key)
                }
            };
            if let Some(url) = &url {
                command.env("HUSHWOOD_DATABASE", url);
            }
            let log = folder.join(format!("node{number}.log"));
            let certificate = (!setup.behind_proxy).then_some(&certificate);
            let node = Node::start(command, &log, &guard, certificate);
            nodes.push(node.with_context(|| fs::read_to_string(&log).unwrap_or_default())?);
        }
        Ok(Self { nodes, _database: database })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// How the node is reached whose turn it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn place(&self, turn: usize) -> Result<&Place> {
        let node = turn.checked_rem(self.nodes.len()).and_then(|number| self.nodes.get(number));
        Ok(&node.context("no node")?.place)
    }

    /// Where the first node shows its metrics.
    ///
    /// # Errors
    /// If there is none.
    pub fn admin(&self) -> Result<SocketAddr> {
        Ok(self.nodes.first().context("no node")?.admin)
    }

    /// What the nodes use: memory, of the one that has most; processors' time, of all.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.nodes.iter().map(|node| usage::of(node.id)).fold(Usage::default(), |all, one| Usage {
            resident: all.resident.max(one.resident),
            peak: all.peak.max(one.peak),
            processor: all.processor + one.processor,
        })
    }

    /// From now on peaks are those of what comes.
    pub fn forget_peaks(&self) {
        self.nodes.iter().for_each(|node| usage::forget_peak(node.id));
    }

    /// Fails if a node has ended.
    ///
    /// # Errors
    /// That.
    pub fn alive(&self) -> Result<()> {
        let alive = self.nodes.iter().all(|node| node.process.runs());
        alive.then_some(()).context("a node has ended by itself")
    }
}

impl Node {
    fn start(
        command: Command,
        log: &Path,
        guard: &Guard,
        certificate: Option<&CertificateDer<'static>>,
    ) -> Result<Self> {
        let process = Process::start(command, log, guard)?;
        let output = process.with(|child| child.stdout.take()).flatten().context("no output")?;
        let id = process.with(|child| child.id()).context("no process")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).context("a node does not say that it is ready")?;
        let at = |name: &str| -> Result<SocketAddr> {
            Ok(told.get(name).and_then(Value::as_str).context("a node does not say where it is")?.parse()?)
        };
        let (address, admin) = (at("address")?, at("admin")?);
        let place = match certificate {
            Some(certificate) => Place::pinned(address, certificate)?,
            None => Place::plain(address),
        };
        Ok(Self { process, id, place, admin })
    }
}

/// As an operator has it, apart from memory.
#[must_use]
pub fn postgres() -> Postgres {
    Postgres::start(&[("shared_buffers", "256MB"), ("max_wal_size", "4GB")])
}

const CHAIN: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// A certificate for all nodes, and its key, as files.
fn certificate(folder: &Path) -> Result<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed([SERVICE.to_owned()])?;
    fs::write(folder.join(CHAIN), made.cert.pem())?;
    fs::write(folder.join(KEY), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().clone())
}
