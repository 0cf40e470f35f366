//! How many instructions a few operations take: the same at each run, so that a change that doubles one is seen.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::args::Args;

/// Operations whose instructions are counted, at one size that is quick to reach and large enough to see growth.
pub const COUNTED: [&str; 6] =
    ["join_merged", "update_commit", "update_process", "apply_own", "encrypt_1k", "decrypt_1k"];
/// The size.
pub const MEMBERS: u32 = 1_000;
/// The implementation: in Rust alone, as assembly is chosen by what the processor has.
pub const IMPLEMENTATION: &str = "hushwood/rustcrypto";

/// Counts them, each in a process of its own, below callgrind.
///
/// # Errors
/// If valgrind is not installed, or an operation fails.
pub fn count(args: &Args) -> Result<Vec<(&'static str, u64)>> {
    COUNTED.into_iter().map(|operation| Ok((operation, count_one(args, operation)?))).collect()
}

fn count_one(args: &Args, operation: &str) -> Result<u64> {
    if !args.quiet {
        eprintln!("instructions of {operation}");
    }
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    command.arg("--toggle-collect=*bench::recorder::once*").arg(std::env::current_exe()?);
    command.args(["--once", operation, &MEMBERS.to_string(), "--only", IMPLEMENTATION]);
    command.env("RAYON_NUM_THREADS", "1");
    let output = command.args(["--suite", &args.suite.to_string()]).output();
    let output = output.context("valgrind does not start")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{operation} below valgrind: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :")).context("no count")?;
    Ok(collected.1.trim().parse()?)
}

/// As a table.
#[must_use]
pub fn table(counts: &[(&str, u64)]) -> String {
    let rows = counts.iter().map(|(operation, count)| format!("| {operation} | {MEMBERS} | {count} |\n"));
    format!("| operation | members | instructions |\n|---|---|---|\n{}", rows.collect::<String>())
}
