//! Tests that bite: cargo-mutants changes one thing in a module, and the module's tests have to notice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;

/// What to change.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these modules, by their names in the table that is printed
    #[arg(long, value_delimiter = ',')]
    modules: Vec<String>,
    /// How many mutants of each module, drawn by the seed; without it, all
    #[arg(long)]
    sample: Option<usize>,
    /// Which ones are drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on where an earlier run with the same seed stopped: what was caught is not tried again
    #[arg(long)]
    resume: bool,
    /// Only print how many there are, and which are drawn
    #[arg(long)]
    list: bool,
    /// Only print the table of what earlier runs have found
    #[arg(long)]
    table: bool,
}

/// A part of the library. Its tests are those of its crate: first the unit tests, as they are built in a fraction of the time, then, for what they
/// have missed, the others as well. Examples in the documentation, which take longer to build than all the rest, are not among them.
struct Module {
    name: &'static str,
    package: &'static str,
    files: &'static str,
}

/// The version that is installed where there is none.
const CARGO_MUTANTS: &str = "27.1.0";

/// Parts whose faults are of the protocol, not of what stands around it.
const MODULES: &[Module] = &[
    Module { name: "codec", package: "hushwood-codec", files: "crates/hushwood-codec/src/**" },
    Module { name: "tree", package: "hushwood", files: "crates/hushwood/src/tree/**" },
    Module { name: "schedule", package: "hushwood", files: "crates/hushwood/src/schedule/**" },
    Module { name: "secret-tree", package: "hushwood", files: "crates/hushwood/src/secret_tree/**" },
    Module { name: "framing", package: "hushwood", files: "crates/hushwood/src/framing/**" },
    Module { name: "proposal", package: "hushwood", files: "crates/hushwood/src/proposal/**" },
    Module { name: "commit", package: "hushwood", files: "crates/hushwood/src/commit/**" },
    Module { name: "transition", package: "hushwood", files: "crates/hushwood/src/transition/**" },
    Module { name: "group", package: "hushwood", files: "crates/hushwood/src/group/**" },
];

/// The tests of the first and of the second time: arguments of `cargo test`.
const STAGES: [&[&str]; 2] = [&["--lib"], &["--tests"]];

/// `cargo xtask mutants`.
pub(crate) fn mutants(args: &Args) -> Result<bool> {
    if let Some(unknown) = args.modules.iter().find(|name| MODULES.iter().all(|module| module.name != *name))
    {
        bail!("there is no module {unknown}");
    }
    let chosen =
        |module: &&Module| args.modules.is_empty() || args.modules.iter().any(|name| name == module.name);
    let folder = run::target_dir()?.join("mutants");
    let program = run::tool("cargo-mutants", &["mutants", "--version"], CARGO_MUTANTS)?;
    let mut good = true;
    let mut found = Vec::new();
    for module in MODULES.iter().filter(chosen) {
        let all = list(&program, module)?;
        let drawn = drawn(&all, args.sample.unwrap_or(all.len()), args.seed);
        if args.list {
            println!("{}: {} of {}", module.name, drawn.len(), all.len());
            drawn.iter().for_each(|mutant| println!("  {mutant}"));
            continue;
        }
        let [first, second] = ["unit", "all"].map(|stage| folder.join(module.name).join(stage));
        if !args.table {
            try_all(&program, module, STAGES[0], &drawn, &first, args.resume)?;
        }
        let mut outcome = Outcome::read(&first)?;
        if !args.table && !outcome.missed.is_empty() {
            let missed: Vec<_> = outcome.missed.iter().cloned().collect();
            try_all(&program, module, STAGES[1], &missed, &second, args.resume)?;
        }
        if !outcome.missed.is_empty() && second.exists() {
            let Outcome { caught, timed_out, missed, .. } = Outcome::read(&second)?;
            outcome.caught.extend(caught);
            outcome.timed_out.extend(timed_out);
            outcome.missed = missed;
        }
        found.push((module.name, all.len(), outcome));
    }
    if args.list {
        return Ok(true);
    }
    println!(
        "\n{:<12} {:>7} {:>6} {:>7} {:>9} {:>7} {:>9}  caught",
        "module", "mutants", "tried", "caught", "timed out", "missed", "no build"
    );
    for (name, all, outcome) in &found {
        let Outcome { caught, timed_out, missed, unviable } = outcome;
        let (noticed, tried) =
            (caught.len() + timed_out.len(), caught.len() + timed_out.len() + missed.len());
        let [least, share, most] = wilson(noticed, tried).map(|share| 100.0 * share);
        println!(
            "{name:<12} {all:>7} {:>6} {:>7} {:>9} {:>7} {:>9}  {share:.1} % ({least:.1} to {most:.1})",
            tried + unviable.len(),
            caught.len(),
            timed_out.len(),
            missed.len(),
            unviable.len(),
        );
        good &= share >= 95.0;
    }
    for (name, _, outcome) in &found {
        outcome.missed.iter().for_each(|mutant| println!("missed in {name}: {mutant}"));
    }
    Ok(good)
}

/// What came of the mutants of a module, by their names.
struct Outcome {
    caught: BTreeSet<String>,
    timed_out: BTreeSet<String>,
    missed: BTreeSet<String>,
    unviable: BTreeSet<String>,
}

impl Outcome {
    /// What cargo-mutants has written so far. With `--iterate` it keeps what it knew in files of their own.
    fn read(folder: &Path) -> Result<Self> {
        let out = folder.join("mutants.out");
        let lines = |names: &[&str]| -> Result<BTreeSet<String>> {
            let mut lines = BTreeSet::new();
            for path in names.iter().map(|name| out.join(name)).filter(|path| path.exists()) {
                lines.extend(fs::read_to_string(path)?.lines().map(str::to_owned));
            }
            Ok(lines)
        };
        if !out.exists() {
            bail!("nothing has been tried in {}", out.display());
        }
        Ok(Self {
            caught: lines(&["caught.txt", "previously_caught.txt"])?,
            timed_out: lines(&["timeout.txt"])?,
            missed: lines(&["missed.txt"])?,
            unviable: lines(&["unviable.txt"])?,
        })
    }
}

/// The names of all mutants of a module, in one order.
fn list(program: &PathBuf, module: &Module) -> Result<Vec<String>> {
    let mut command = cargo_mutants(program, module);
    let output = command.args(["--list", "--colors", "never"]).stderr(Stdio::inherit()).output()?;
    let mut names: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if names.is_empty() {
        bail!("cargo-mutants lists nothing in {}", module.name);
    }
    names.sort();
    Ok(names)
}

/// So many of them, by chance: the seed decides.
fn drawn(all: &[String], sample: usize, seed: u64) -> Vec<String> {
    let mut left = all.to_vec();
    let mut state = seed;
    let mut drawn = Vec::new();
    while drawn.len() < sample && !left.is_empty() {
        let places = u64::try_from(left.len()).unwrap_or(u64::MAX);
        let place = usize::try_from(next(&mut state) % places).unwrap_or_default();
        drawn.push(left.remove(place));
    }
    drawn.sort();
    drawn
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Tries them one after the other, in a copy of the workspace that has a target folder of its own.
fn try_all(
    program: &PathBuf,
    module: &Module,
    tests: &[&str],
    drawn: &[String],
    out: &Path,
    resume: bool,
) -> Result<()> {
    if !resume && out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    let mut command = cargo_mutants(program, module);
    command.env("CARGO_TARGET_DIR", run::target_dir()?.join("mutants/build"));
    command
        .args(["--no-shuffle", "--minimum-test-timeout", "60", "--build-timeout", "600", "--output"])
        .arg(out);
    if resume {
        command.arg("--iterate");
    }
    for mutant in drawn {
        command.args(["--re", &format!("^{}$", escaped(mutant))]);
    }
    command.arg("--").args(tests);
    // It fails where a mutant was missed: the files say more.
    println!("{}: {} mutants, {}", module.name, drawn.len(), tests.join(" "));
    command.status().context("cargo-mutants does not start")?;
    Ok(())
}

/// A name, as a regular expression for itself.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for character in name.chars() {
        // A backslash before < and > would mean a word's begin and end.
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The share and its interval of 95 % (Wilson's score).
fn wilson(noticed: usize, tried: usize) -> [f64; 3] {
    if tried == 0 {
        return [0.0, 1.0, 1.0];
    }
    let [noticed, tried] = [noticed, tried].map(|count| f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    let (share, z) = (noticed / tried, 1.96_f64);
    let wide = 1.0 + z * z / tried;
    let middle = (share + z * z / (2.0 * tried)) / wide;
    let half = z / wide * (share * (1.0 - share) / tried + z * z / (4.0 * tried * tried)).sqrt();
    [(middle - half).max(0.0), share, (middle + half).min(1.0)]
}

/// cargo-mutants for the files of a module.
fn cargo_mutants(program: &PathBuf, module: &Module) -> Command {
    let mut command = Command::new(program);
    command.current_dir(run::root()).args(["mutants", "--package", module.package, "--file", module.files]);
    run::without_our_toolchain(&mut command);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_seed() {
        let all: Vec<_> = (0..50).map(|number| format!("mutant {number:02}")).collect();
        let one = drawn(&all, 20, 1);
        assert_eq!(one, drawn(&all, 20, 1));
        assert_ne!(one, drawn(&all, 20, 2));
        assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), 20);
        assert_eq!(drawn(&all, 80, 1), all);
    }

    #[test]
    fn intervals_are_wilson_s() {
        let [least, share, most] = wilson(114, 120);
        assert!((share - 0.95).abs() < 1e-9);
        assert!((least - 0.8952).abs() < 1e-3, "{least}");
        assert!((most - 0.9769).abs() < 1e-3, "{most}");
    }

    #[test]
    fn names_are_taken_as_they_are() {
        assert_eq!(escaped("a.rs:1:2: replace + with - in f"), r"a\.rs:1:2: replace \+ with \- in f");
    }
}
