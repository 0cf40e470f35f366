//! Times what must not tell secrets by its time; exits with 1 if it does, or if a control does not.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use thief::timing::{THRESHOLD, subjects};

/// A statistical test of time.
#[derive(Parser)]
#[command(name = "cargo xtask timing", bin_name = "cargo xtask timing")]
struct Args {
    /// How many times of each
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    samples: usize,
    /// Only what has this in its name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut good = true;
    println!("{:>10} {:>9} {:>6}  what", "t", "samples", "s");
    for subject in subjects::all() {
        if args.only.as_ref().is_some_and(|only| !subject.name.contains(only)) {
            continue;
        }
        // What leaks on purpose shows it soon.
        let samples = if subject.leaks { args.samples.div_ceil(10) } else { args.samples };
        let begun = Instant::now();
        let t = (subject.run)(samples);
        let tells = t.abs() >= THRESHOLD;
        let verdict = match (tells, subject.leaks) {
            (false, false) | (true, true) => "",
            (true, false) => "TELLS: ",
            (false, true) => "NOT FOUND OUT: ",
        };
        good &= verdict.is_empty();
        println!("{t:>10.2} {samples:>9} {:>6}  {verdict}{}", begun.elapsed().as_secs(), subject.name);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
