//! `cargo xtask bench`.

use std::process::ExitCode;

use anyhow::Result;
use bench::args::Args;
use clap::Parser;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    bench::program::run(&Args::parse())
}
