//! The service: nodes that are processes, and their database.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hushwood_delivery::backend::{Backend, PostgresBackend, PostgresSettings, SqliteBackend, SqliteSettings};
use serde_json::Value;
use test_support::postgres::Postgres;

use crate::process::{Guard, Process};
use crate::proxy::Nodes;

/// Which database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Database {
    /// SQLite, with one node.
    Sqlite,
    /// PostgreSQL, with any number of nodes.
    Postgres,
}

/// The service.
pub struct Service {
    program: PathBuf,
    folder: PathBuf,
    postgres: Option<(Postgres, String)>,
    nodes: Vec<Mutex<Option<Process>>>,
    addresses: Nodes,
    guard: Guard,
}

impl Service {
    /// Starts the database and all nodes.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start(
        program: &Path,
        folder: &Path,
        (database, nodes): (Database, usize),
        guard: &Guard,
    ) -> Result<Self> {
        let (postgres, nodes) = match database {
            Database::Sqlite => (None, 1),
            Database::Postgres => {
                let server = Postgres::start(&[]);
                let url = server.database();
                (Some((server, url)), nodes.max(1))
            }
        };
        let this = Self {
            program: program.to_path_buf(),
            folder: folder.to_path_buf(),
            postgres,
            nodes: (0..nodes).map(|_| Mutex::new(None)).collect(),
            addresses: Arc::new(Mutex::new(vec![None; nodes])),
            guard: guard.clone(),
        };
        for node in 0..nodes {
            this.start_node(node)?;
        }
        Ok(this)
    }

    /// Where the nodes are.
    #[must_use]
    pub fn addresses(&self) -> Nodes {
        self.addresses.clone()
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is a database that can be killed.
    #[must_use]
    pub fn has_database(&self) -> bool {
        self.postgres.is_some()
    }

    /// Kills a node. False if it was not running.
    pub fn kill_node(&self, node: usize) -> bool {
        let Some(slot) = self.nodes.get(node) else { return false };
        let killed = locked(slot).as_ref().is_some_and(Process::kill);
        self.set_address(node, None);
        killed
    }

    /// Starts a node again, and waits until it is ready. While the database is away, so is it.
    ///
    /// # Errors
    /// If it does not start in a minute and a half.
    pub fn start_node(&self, node: usize) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            match self.try_node(node) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    fn try_node(&self, node: usize) -> Result<()> {
        let mut command = Command::new(&self.program);
        let data = self.folder.join(format!("node{node}"));
        command.args(["serve", "--json", "--plain", "--name", "localhost", "--port", "0", "--log", "warn"]);
        command.arg("--data").arg(&data).env_remove("HUSHWOOD_DATABASE");
        if let Some((_, url)) = &self.postgres {
            command.env("HUSHWOOD_DATABASE", url);
        }
        let errors = self.folder.join(format!("node{node}.log"));
        let process = Process::start(command, &errors, &self.guard)?;
        let output = process.with(|child| child.stdout.take()).flatten().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).context("a node does not say that it is ready")?;
        let address =
            told.get("address").and_then(Value::as_str).context("a node does not say where it is")?;
        let address: SocketAddr = address.parse()?;
        let slot = self.nodes.get(node).context("no such node")?;
        *locked(slot) = Some(process);
        self.set_address(node, Some(address));
        Ok(())
    }

    /// Kills the database.
    pub fn kill_database(&self) {
        if let Some((server, _)) = &self.postgres {
            server.kill();
        }
    }

    /// Starts the database again.
    pub fn start_database(&self) {
        if let Some((server, _)) = &self.postgres {
            server.restart();
        }
    }

    /// Nodes that have ended by themselves.
    #[must_use]
    pub fn accidents(&self) -> Vec<String> {
        let ended = |(node, slot): (usize, &Mutex<Option<Process>>)| {
            let runs = locked(slot).as_ref().is_some_and(Process::runs);
            (!runs).then(|| format!("node {node} has ended by itself, see node{node}.log"))
        };
        self.nodes.iter().enumerate().filter_map(ended).collect()
    }

    /// Kills all nodes, and opens the database as one of them would.
    ///
    /// # Errors
    /// If it can't be opened.
    pub async fn into_backend(self) -> Result<(Arc<dyn Backend>, Option<Postgres>)> {
        for node in 0..self.nodes() {
            self.kill_node(node);
        }
        match self.postgres {
            Some((server, url)) => {
                let backend = PostgresBackend::open(&PostgresSettings::new(&url)?).await?;
                Ok((Arc::new(backend), Some(server)))
            }
            None => {
                let path = self.folder.join("node0").join("delivery.db");
                if !path.is_file() {
                    bail!("there is no database at {}", path.display());
                }
                Ok((Arc::new(SqliteBackend::open(&SqliteSettings::new(&path))?), None))
            }
        }
    }

    fn set_address(&self, node: usize, address: Option<SocketAddr>) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = addresses.get_mut(node) {
            *slot = address;
        }
    }
}

fn locked(slot: &Mutex<Option<Process>>) -> MutexGuard<'_, Option<Process>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
