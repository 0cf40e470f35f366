//! Does the worlds of many seeds; exits with 1 if a check has failed in one of them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use sim::campaign::{Campaign, range, replay};
use sim::shrink::keep_panics;

/// The simulated world.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Args {
    /// The seeds, without the last number
    #[arg(long, value_name = "A..B", default_value = "0..10", value_parser = seeds)]
    seeds: (u64, u64),
    /// Actions for each seed
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    steps: u64,
    /// Clients at once; up to 64, or 4096 with --fake-crypto
    #[arg(long, value_name = "M", default_value_t = 16)]
    members: usize,
    /// Without cryptography, which is much faster
    #[arg(long)]
    fake_crypto: bool,
    /// How many seeds are done at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Keep the progress in this file, and go on where it says
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Where the actions of failing seeds go
    #[arg(long, value_name = "FOLDER", default_value = "target/sim")]
    failures: PathBuf,
    /// How long the actions of a failing seed are made fewer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    shrink: u64,
    /// Do the actions of such a file instead
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    range(text).ok_or_else(|| "seeds are A..B".into())
}

fn main() -> ExitCode {
    let args = Args::parse();
    keep_panics();
    if let Some(path) = &args.replay {
        return match replay(path) {
            Ok(totals) => {
                println!("nothing fails: {}", totals.in_words());
                ExitCode::SUCCESS
            }
            Err(error) => {
                println!("FAILED: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let most = if args.fake_crypto { 4096 } else { 64 };
    if args.members == 0 || args.members > most {
        eprintln!("--members: 1 to {most}");
        return ExitCode::from(2);
    }
    let Args { seeds, steps, members, fake_crypto, threads, resume, failures, shrink, .. } = args;
    let shrink = Duration::from_secs(shrink);
    let campaign = Campaign { seeds, steps, members, fake_crypto, threads, resume, failures, shrink };
    let start = Instant::now();
    match campaign.run() {
        Ok(progress) => {
            let failed = progress.done.values().filter(|failed| **failed).count();
            let (done, totals) = (progress.done.len(), progress.totals);
            let per_second = (totals.steps + totals.idle) * 1000 / progress.milliseconds.max(1);
            println!("{done} seeds, {failed} failed; {}", totals.in_words());
            println!("{per_second} steps/s on each thread; {:.1} s this time", start.elapsed().as_secs_f64());
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
