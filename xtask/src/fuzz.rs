//! Fuzzing: the programs of `fuzz/` under libFuzzer, for so many seconds each.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// One target only
    #[arg(long)]
    target: Option<String>,
    /// Write the inputs to begin with into fuzz/corpus, and run nothing
    #[arg(long)]
    write_seeds: bool,
}

/// The version that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// What libFuzzer counts as a finding besides crashes: seconds for one input, and megabytes.
const LIMITS: [&str; 3] = ["-timeout=10", "-malloc_limit_mb=64", "-rss_limit_mb=1024"];

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(args: &Args) -> Result<bool> {
    let corpus = run::root().join("fuzz/corpus");
    if args.write_seeds {
        let mut command = run::cargo(&["run", "--package", "test-support", "--bin", "fuzz_seeds", "--"]);
        return run::succeeds(command.arg(corpus));
    }
    let mut targets = Vec::new();
    for entry in fs::read_dir(&corpus).context("fuzz/corpus")? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    targets.retain(|target| args.target.as_ref().is_none_or(|only| only == target));
    if targets.is_empty() {
        bail!("there is no such target");
    }

    let program = run::tool("cargo-fuzz", &["--version"], CARGO_FUZZ)?;
    let mut build = cargo_fuzz(&program, "build");
    build.args(args.target.iter());
    if !run::succeeds(&mut build)? {
        return Ok(false);
    }
    let mut ran = Vec::new();
    for target in &targets {
        ran.push(run_target(&program, target, args.seconds)?);
    }
    println!("\n{:<28}{:>12}{:>9}", "target", "executions", "seconds");
    for Ran { target, executions, seconds, good } in &ran {
        let verdict = if *good { "" } else { "  FOUND SOMETHING: see above, and fuzz/artifacts" };
        println!("{target:<28}{executions:>12}{seconds:>9}{verdict}");
    }
    let good = ran.iter().filter(|ran| ran.good).count();
    let executions: u64 = ran.iter().map(|ran| ran.executions).sum();
    println!("totals: {good} passed, {} failed, {executions} executions", ran.len() - good);
    Ok(good == ran.len())
}

struct Ran<'a> {
    target: &'a str,
    executions: u64,
    seconds: u64,
    good: bool,
}

/// New inputs go to `fuzz/work`: the corpus is what we have chosen to keep.
fn run_target<'a>(program: &PathBuf, target: &'a str, seconds: u64) -> Result<Ran<'a>> {
    let fuzz = run::root().join("fuzz");
    let (work, corpus) = (fuzz.join("work").join(target), fuzz.join("corpus").join(target));
    fs::create_dir_all(&work)?;
    println!("\n{target}: {seconds} s");
    let begin = Instant::now();
    let output = cargo_fuzz(program, "run")
        .arg(target)
        .args([work, corpus])
        .arg("--")
        .args(LIMITS)
        .args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()])
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .output()
        .context("cargo-fuzz does not start")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let good = output.status.success();
    if !good {
        std::io::stderr().write_all(&output.stderr)?;
    }
    Ok(Ran { target, executions: executions(&text), seconds: begin.elapsed().as_secs(), good })
}

/// Of libFuzzer's last lines, or of its last report before it found something.
fn executions(text: &str) -> u64 {
    let counted = text.lines().rev().find_map(|line| {
        let line = line.trim();
        let number = match line.strip_prefix("stat::number_of_executed_units:") {
            Some(number) => number,
            None => line.strip_prefix('#')?.split_whitespace().next()?,
        };
        number.trim().parse().ok()
    });
    counted.unwrap_or(0)
}

/// On nightly where it is installed. Elsewhere this toolchain is told that it may do as if.
fn cargo_fuzz(program: &PathBuf, verb: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(run::root()).args([verb, "--fuzz-dir", "fuzz"]);
    run::without_our_toolchain(&mut command);
    match run::is_there(Command::new("rustup").args(["run", "nightly", "rustc", "--version"])) {
        true => command.env("RUSTUP_TOOLCHAIN", "nightly"),
        false => command.env("RUSTC_BOOTSTRAP", "1"),
    };
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_those_of_the_last_report() {
        let done = "#2 INITED cov: 3\n#4096 pulse cov: 3\nDone 5000 runs\nstat::number_of_executed_units: 5000\nstat::average_exec_per_sec: 1\n";
        assert_eq!(executions(done), 5000);
        assert_eq!(executions("#2 INITED cov: 3\n#4096 pulse cov: 3\n==1== ERROR: crash\n"), 4096);
        assert_eq!(executions("nothing"), 0);
    }
}
