//! Does campaigns and races; exits with 1 if one has found something.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use hushwood_delivery::backend::{Backend, PostgresBackend, PostgresSettings, SqliteBackend, SqliteSettings};
use test_support::postgres::Postgres;

use e2e::campaign::Campaign;
use e2e::race::race;
use e2e::service::Database;

/// The service and its clients, killed at random, behind a network that misbehaves.
#[derive(Parser)]
#[command(name = "cargo xtask e2e", bin_name = "cargo xtask e2e")]
struct Args {
    /// Which database; both, one after the other, if none is named
    #[arg(long)]
    database: Option<Kind>,
    /// Nodes on PostgreSQL; SQLite has one
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: usize,
    /// Bots, each a process with a store of its own
    #[arg(long, value_name = "N", default_value_t = 20)]
    bots: usize,
    /// How many processes are killed
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: usize,
    /// What is drawn is drawn from it; what processes do at the same time is not
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The most milliseconds between two kills
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    pace: usize,
    /// Few bots and kills: what the tests do
    #[arg(long)]
    quick: bool,
    /// Only race: so many committers, each epoch, at the databases
    #[arg(long)]
    race: bool,
    /// Committers of a race
    #[arg(long, value_name = "N", default_value_t = 64)]
    committers: usize,
    /// Epochs of a race
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    epochs: u64,
    /// The program `hushwood`
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where a run goes that has found something
    #[arg(long, value_name = "FOLDER", default_value = "target/e2e")]
    failures: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let databases = match args.database {
        Some(Kind::Sqlite) => vec![Database::Sqlite],
        Some(Kind::Postgres) => vec![Database::Postgres],
        None => vec![Database::Sqlite, Database::Postgres],
    };
    let mut good = true;
    for database in databases {
        good &= match args.race {
            true => one_race(args, database)?,
            false => one_campaign(args, database)?,
        };
    }
    Ok(good)
}

fn one_campaign(args: &Args, database: Database) -> Result<bool> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("hushwood"));
    let program = args.program.clone().or_else(beside).filter(|program| program.is_file());
    let mut campaign = Campaign {
        program: program.context("the program `hushwood` is not beside this one: name it with --program")?,
        database,
        nodes: args.nodes,
        bots: args.bots,
        kills: args.kills,
        seed: args.seed,
        pace: args.pace,
        failures: args.failures.clone(),
    };
    if args.quick {
        campaign = campaign.quick();
    }
    let (bots, seed) = (campaign.bots, campaign.seed);
    println!("{database:?}: {bots} bots, {} kills, seed {seed}", campaign.kills);
    let outcome = campaign.run()?;
    println!("{}", outcome.figures);
    for finding in outcome.findings.iter().take(50) {
        println!("FOUND {finding}");
    }
    println!("{database:?}: {} found", outcome.findings.len());
    if let Some(folder) = outcome.folder {
        println!("what is left of it is in {}", folder.display());
    }
    Ok(outcome.findings.is_empty())
}

fn one_race(args: &Args, database: Database) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let raced = runtime.block_on(async {
        let server;
        let nodes = match database {
            Database::Sqlite => vec![sqlite(folder.path())?],
            Database::Postgres => {
                server = Postgres::start(&[]);
                let settings = PostgresSettings::new(&server.database())?;
                let mut nodes: Vec<Arc<dyn Backend>> = Vec::new();
                for _ in 0..args.nodes.max(1) {
                    nodes.push(Arc::new(PostgresBackend::open(&settings).await?));
                }
                nodes
            }
        };
        race(&nodes, args.committers, args.epochs).await
    });
    let raced = raced?;
    let (committers, epochs, stale) = (args.committers, raced.epochs, raced.stale);
    let seconds = raced.time.as_secs_f64();
    println!(
        "{database:?}: {committers} committers, {epochs} epochs: one winner each, {stale} too late, {seconds:.1} s"
    );
    Ok(true)
}

fn sqlite(folder: &Path) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(SqliteBackend::open(&SqliteSettings::new(&folder.join("race.db")))?))
}
