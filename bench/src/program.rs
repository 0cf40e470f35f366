//! The programs: one that measures times and asks the other for the heap.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::cell::{Cell, Published, Results};
use crate::floor::Floors;
use crate::recorder::{Mode, OPERATIONS};
use crate::run::{self, Run};
use crate::{docs, instructions, table};

/// `bench`.
///
/// # Errors
/// What is wrong with the arguments, or what a step has failed by.
pub fn run(args: &Args) -> Result<()> {
    ensure!(!args.peers || cfg!(feature = "peers"), "built without the feature `peers`");
    if let Some(once) = &args.once {
        return run_once(args, once);
    }
    if let Some(file) = &args.results {
        let results = measure(args)?;
        return Ok(fs::write(file, serde_json::to_string(&results)?)?);
    }
    let mut results = Results::default();
    for (number, threads) in args.threads.iter().enumerate() {
        let args = if number == 0 { args } else { &with_threads(args) };
        // Thread pools are made once in a process and read their size from its environment.
        let measured = match args.threads.len() == 1 && run::threads() == *threads {
            true => measure(args)?,
            false => in_child("bench", args, *threads)?,
        };
        results.cells.extend(measured.cells);
        if number == 0 {
            results.prices = measured.prices;
        }
    }
    if let Some(file) = &args.json {
        let published: Vec<_> = results.cells.iter().map(Published::from).collect();
        fs::write(file, serde_json::to_string_pretty(&published)?)
            .with_context(|| file.display().to_string())?;
    }
    if !args.quiet {
        println!("{}", table::tables(&results.cells));
    }
    let counted = if args.instructions { instructions::count(args)? } else { Vec::new() };
    if !args.quiet && args.instructions {
        println!("{}", instructions::table(&counted));
    }
    if args.write_docs {
        docs::write(Path::new("."), args, &results, &counted)?;
    }
    Ok(())
}

/// `bench-heap`: only the heap, into the file that `--results` names.
///
/// # Errors
/// As [`run()`].
pub fn heap(args: &Args, mode: Mode) -> Result<()> {
    let results = Results { cells: Run::new(args, mode)?.cells()?, prices: Vec::new() };
    let file = args.results.as_ref().context("--results is missing")?;
    Ok(fs::write(file, serde_json::to_string(&results)?)?)
}

fn measure(args: &Args) -> Result<Results> {
    let mut cells = Run::new(args, Mode::Time)?.cells()?;
    let floors = Floors {
        counts: Run::new(args, Mode::Count)?.counts()?,
        prices: Run::new(args, Mode::Time)?.prices()?,
    };
    floors.complete(&mut cells);
    // Hours of measuring are not lost with it.
    let heap = in_child("bench-heap", args, run::threads()).unwrap_or_else(|error| {
        eprintln!("no heap is known: {error:#}");
        Results::default()
    });
    let heap = heap.cells;
    let heap: HashMap<_, _> = heap.into_iter().map(|cell| (cell.key(), cell)).collect();
    for cell in &mut cells {
        cell.peak_bytes = heap.get(&cell.key()).and_then(|cell| cell.peak_bytes);
    }
    // `memory` has no time.
    let timed: HashSet<_> = cells.iter().map(Cell::key).collect();
    cells.extend(heap.into_values().filter(|cell| !timed.contains(&cell.key())));
    let prices = floors.prices.iter().flat_map(|(name, prices)| {
        prices.rows().map(|(what, size, price)| (name.clone(), what.to_owned(), size, price))
    });
    Ok(Results { cells, prices: prices.collect() })
}

/// Runs another process on the same arguments, with so many threads.
fn in_child(program: &str, args: &Args, threads: usize) -> Result<Results> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("results.json");
    let this = std::env::current_exe()?;
    let program = this.parent().unwrap_or(Path::new(".")).join(program);
    let sizes: Vec<_> = args.sizes.iter().map(u32::to_string).collect();
    let mut command = Command::new(&program);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    command.args(["--threads", &threads.to_string(), "--sizes", &sizes.join(",")]);
    command.args(["--suite", &args.suite.to_string(), "--budget", &args.budget.to_string()]);
    command.args(["--enough", &args.enough.to_string()]).arg("--results").arg(&file);
    for (flag, is_on) in [("--peers", args.peers), ("--quiet", args.quiet)] {
        if is_on {
            command.arg(flag);
        }
    }
    for (flag, values) in [("--ops", &args.ops), ("--only", &args.only)] {
        if !values.is_empty() {
            command.args([flag, &values.join(",")]);
        }
    }
    if !args.quiet {
        eprintln!("{} with {threads} thread(s)", program.file_name().unwrap_or_default().display());
    }
    let status = command.status().with_context(|| format!("{} does not start", program.display()))?;
    ensure!(status.success(), "{} failed", program.display());
    Ok(serde_json::from_str(&fs::read_to_string(&file)?)?)
}

/// The operations that anybody shares among threads, if no others were asked for: the rest takes the same time again.
fn with_threads(args: &Args) -> Args {
    let shared = SHARED.map(str::to_owned).to_vec();
    Args { ops: if args.ops.is_empty() { shared } else { args.ops.clone() }, ..args.clone() }
}

fn run_once(args: &Args, once: &[String]) -> Result<()> {
    let [op, n] = once else { bail!("--once takes an operation and a size") };
    let known = OPERATIONS.into_iter().find(|name| name == op).context("no such operation")?;
    let args = Args { sizes: vec![n.parse()?], ops: vec![op.clone()], ..args.clone() };
    let cells = Run::new(&args, Mode::Once(known))?.cells()?;
    match cells.into_iter().find(|cell| cell.status.starts_with("error")) {
        Some(cell) => bail!("{}: {}", cell.implementation, cell.status),
        None => Ok(()),
    }
}

/// What concerns every member, and paths with their seals.
const SHARED: [&str; 7] = [
    "create_commit",
    "join_flat",
    "join_merged",
    "external_commit",
    "update_commit",
    "add_commit",
    "remove_commit",
];
