//! The official test vectors on every provider: finds the files and runs the crate `test-support` on them. Or files
//! of our own making, for others to try.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report::Outcome;
use crate::run;

/// What counts as a failure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file that is not found is a failure
    #[arg(long)]
    strict: bool,
    /// Write files of our own making, in the same formats, and try those
    #[arg(long, conflicts_with = "strict")]
    generate: bool,
    /// The folder for them, `target/own-vectors` by default; they are in its folder `mls`
    #[arg(long, requires = "generate")]
    out: Option<PathBuf>,
    /// Their cipher suites; all by default
    #[arg(long, requires = "generate", value_delimiter = ',')]
    suites: Vec<u16>,
    /// What they are made from: the same files for the same seed and suites
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// `cargo xtask vectors`.
pub(crate) fn vectors(args: &Args) -> Result<bool> {
    run::succeeds(&mut command(args)?)
}

/// The official ones as a step of a report.
pub(crate) fn counts() -> Result<Outcome> {
    counts_of(false)
}

/// Files of our own making, in three suites with other curves and hashes each, as a step of a report. They are in [`own_folder`] then.
pub(crate) fn own_counts() -> Result<Outcome> {
    counts_of(true)
}

/// Where the files of our own making go.
pub(crate) fn own_folder() -> Result<PathBuf> {
    Ok(run::target_dir()?.join("own-vectors"))
}

fn counts_of(generate: bool) -> Result<Outcome> {
    let args = Args { strict: false, generate, out: None, suites: vec![1, 2, 7], seed: 1 };
    run::counts(&mut command(&args)?).map(Outcome::Counted)
}

fn command(args: &Args) -> Result<Command> {
    let mut command = run::cargo(&["run", "--quiet", "--package", "test-support", "--bin", "vectors", "--"]);
    if args.generate {
        let out = match &args.out {
            // What is relative is so to where the command was given.
            Some(out) => env::current_dir()?.join(out),
            None => own_folder()?,
        };
        command.arg("--generate").arg(out).arg(args.seed.to_string());
        command.args(args.suites.iter().map(u16::to_string));
        return Ok(command);
    }
    if args.strict {
        command.arg("--strict");
    }
    command.env("HUSHWOOD_VECTORS", folder()?);
    Ok(command)
}

/// The vectors' folder: the one that `HUSHWOOD_VECTORS` names, or the one beside the workspace, or what the
/// registry has.
fn folder() -> Result<PathBuf> {
    if let Some(named) = env::var_os("HUSHWOOD_VECTORS") {
        return Ok(named.into());
    }
    match run::root().join("../shared/vectors").canonicalize() {
        Ok(beside) => Ok(beside),
        Err(_) => from_registry().context("no vectors beside the workspace and none from the registry"),
    }
}

/// The published crate that ships the working group's files.
const CRATE: &str = "openmls";
const VERSION: &str = "0.5.0";

/// Two of its files are older than the RFC's final form: this one has neither suites nor tree hashes, and in
/// `crypto-basics` two suites have signatures over another label. There is no `deserialization`.
const OUTDATED: &str = "tree-operations.json";
const PARTLY_OUTDATED: (&str, [u64; 2]) = ("crypto-basics.json", [5, 7]);
/// Files with vectors of the crate's own.
const ITS_OWN: &str = "kat_";

/// Lays out what the registry has like the usual folder. The crate is fetched, never compiled: a manifest of
/// its own names it.
fn from_registry() -> Result<PathBuf> {
    let folder = run::target_dir()?.join("vectors");
    let manifest = folder.join("fetch/Cargo.toml");
    println!("vectors: from the published crate {CRATE} {VERSION}");
    fs::create_dir_all(folder.join("fetch/src"))?;
    fs::write(folder.join("fetch/src/lib.rs"), "")?;
    fs::write(
        &manifest,
        format!(
            "[package]\nname = \"fetch-vectors\"\nedition = \"2021\"\n\n[dependencies]\n{CRATE} = \"={VERSION}\"\n\n[workspace]\n"
        ),
    )?;
    let shipped = shipped(&manifest)?;
    let mls = folder.join("mls");
    if mls.exists() {
        fs::remove_dir_all(&mls)?;
    }
    fs::create_dir_all(&mls)?;
    for entry in fs::read_dir(&shipped).with_context(|| shipped.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        if name == OUTDATED || name.to_string_lossy().starts_with(ITS_OWN) {
            continue;
        }
        let text = fs::read_to_string(entry.path())?;
        let (partly, suites) = PARTLY_OUTDATED;
        let text = if name == partly { without_suites(&text, &suites)? } else { text };
        fs::write(mls.join(name), text)?;
    }
    Ok(folder)
}

/// The folder in the source of the crate that has the files.
fn shipped(manifest: &Path) -> Result<PathBuf> {
    let metadata = run::metadata(manifest, &[])?;
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let named = |package: &&Value| package.get("name").and_then(Value::as_str) == Some(CRATE);
    let package = packages.into_iter().find(named);
    let Some(manifest) = package.and_then(|package| package.get("manifest_path")).and_then(Value::as_str)
    else {
        bail!("cargo metadata does not name the crate {CRATE}");
    };
    Ok(Path::new(manifest).with_file_name("test_vectors"))
}

fn without_suites(json: &str, suites: &[u64]) -> Result<String> {
    let mut cases: Vec<Value> = serde_json::from_str(json)?;
    let suite = |case: &Value| case.get("cipher_suite").and_then(Value::as_u64);
    cases.retain(|case| suite(case).is_none_or(|suite| !suites.contains(&suite)));
    Ok(serde_json::to_string(&cases)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_of_outdated_suites_are_left_out() {
        let json = r#"[{"cipher_suite":1,"x":1},{"cipher_suite":5},{"y":2}]"#;
        assert_eq!(without_suites(json, &[5, 7]).unwrap(), r#"[{"cipher_suite":1,"x":1},{"y":2}]"#);
    }
}
