//! Fuzzing: the programs of `fuzz/` under libFuzzer, for so many seconds or executions each.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Run each target for a campaign's number of executions instead: 10^8 in all of those that decode, 10^6 of each that plays a group
    #[arg(long, conflicts_with = "seconds")]
    campaign: bool,
    /// These targets only
    #[arg(long = "target", value_delimiter = ',')]
    targets: Vec<String>,
    /// How many targets run at the same time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Without AddressSanitizer, which finds what safe code can't do, and takes half of the time
    #[arg(long)]
    no_sanitizer: bool,
    /// Write the inputs to begin with into fuzz/corpus, and run nothing
    #[arg(long)]
    write_seeds: bool,
}

/// The version that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// Targets whose inputs are decoded and no more.
const DECODERS: [&str; 14] = [
    "commit",
    "credential_x509",
    "extensions",
    "group_info",
    "group_secrets",
    "key_package",
    "mls_message",
    "private_message",
    "proposal",
    "public_message",
    "ratchet_tree",
    "roundtrip_canonical",
    "update_path",
    "welcome",
];

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
    if let Some(unknown) = args.targets.iter().find(|target| !targets.contains(target)) {
        bail!("there is no target {unknown}");
    }
    targets.retain(|target| args.targets.is_empty() || args.targets.contains(target));

    let program = run::tool("cargo-fuzz", &["--version"], CARGO_FUZZ)?;
    let mut build = cargo_fuzz(&program, "build", args);
    if let [only] = &targets[..] {
        build.arg(only);
    }
    if !run::succeeds(&mut build)? {
        return Ok(false);
    }
    let (left, ran) = (Mutex::new(targets.iter().collect::<VecDeque<_>>()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let worker = || -> Result<()> {
            loop {
                let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(target) = next else { return Ok(()) };
                let one = run_target(&program, target, args)?;
                ran.lock().unwrap_or_else(PoisonError::into_inner).push(one);
            }
        };
        let workers: Vec<_> = (0..args.jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker has panicked")))
    })?;
    let mut ran = ran.into_inner().unwrap_or_else(PoisonError::into_inner);
    ran.sort_by_key(|ran| ran.target);
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
fn run_target<'a>(program: &Path, target: &'a str, args: &Args) -> Result<Ran<'a>> {
    let fuzz = run::root().join("fuzz");
    let (work, corpus) = (fuzz.join("work").join(target), fuzz.join("corpus").join(target));
    fs::create_dir_all(&work)?;
    let until = match args.campaign {
        // Of each decoder its share.
        true if DECODERS.contains(&target) => "-runs=7200000".to_owned(),
        true => "-runs=1000000".to_owned(),
        false => format!("-max_total_time={}", args.seconds),
    };
    println!("{target}: {until}");
    let begin = Instant::now();
    let output = cargo_fuzz(program, "run", args)
        .arg(target)
        .args([work, corpus])
        .arg("--")
        .args(LIMITS)
        .args([until, "-print_final_stats=1".to_owned()])
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .output()
        .context("cargo-fuzz does not start")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let good = output.status.success();
    println!("{target}: {} executions in {} s", executions(&text), begin.elapsed().as_secs());
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
fn cargo_fuzz(program: &Path, verb: &str, args: &Args) -> Command {
    let mut command = Command::new(program);
    command.current_dir(run::root()).args([verb, "--fuzz-dir", "fuzz"]);
    if args.no_sanitizer {
        command.args(["--sanitizer", "none"]);
    }
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
