//! Measures, shows, writes; exits with 1 if an honest client was refused or missed something, or a node ended.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;

use load::args::Args;
use load::docs;
use load::run::run;
use load::scale::Scale;

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(args: &Args) -> Result<bool> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("hushwood"));
    let program: Option<PathBuf> = args.program.clone().or_else(beside).filter(|program| program.is_file());
    let program = program.context("the program `hushwood` is not beside this one: name it with --program")?;
    let scale = if args.quick { Scale::quick() } else { Scale::full() };
    let begun = Instant::now();
    let report = run(args, &program, &scale)?;
    println!("\n{}\n\n{}\nIt has taken {} s.", report.machine, report.tables(), begun.elapsed().as_secs());
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?).context("the file of figures")?;
    }
    let good = report.failures.is_empty();
    match args.write_docs {
        true if good => docs::write(Path::new("."), &report)?,
        true => println!("docs/performance.md is as it was: a measurement has failed"),
        false => {}
    }
    Ok(good)
}
