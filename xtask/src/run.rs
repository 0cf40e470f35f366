//! Running other programs: shown before they start, and timed by who asks.

use std::env;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report::Counts;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata(&root().join("Cargo.toml"), &["--no-deps"])?;
    Ok(text(&metadata, "target_directory").context("cargo metadata names no target directory")?.into())
}

/// `cargo metadata` of a manifest.
pub(crate) fn metadata(manifest: &Path, arguments: &[&str]) -> Result<Value> {
    let output = cargo(&["metadata", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo metadata does not start")?;
    serde_json::from_slice(&output.stdout).context("cargo metadata does not answer")
}

/// The packages of the workspace, as `cargo metadata` has them.
pub(crate) fn members() -> Result<Vec<Value>> {
    let mut metadata = metadata(&root().join("Cargo.toml"), &["--no-deps"])?;
    match metadata.get_mut("packages").map(Value::take) {
        Some(Value::Array(packages)) => Ok(packages),
        _ => bail!("cargo metadata names no packages"),
    }
}

/// A field that is a text.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// True if the workspace has a member of that name.
pub(crate) fn has_member(name: &str) -> Result<bool> {
    Ok(members()?.iter().any(|package| text(package, "name") == Some(name)))
}

/// The cargo that runs us, in the folder of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(arguments);
    command
}

/// A program of a crate of the workspace, which is built before it is run.
pub(crate) struct Program<'a> {
    /// The crate.
    pub(crate) package: &'a str,
    /// Its program.
    pub(crate) name: &'a str,
    /// What `cargo build` is told besides.
    pub(crate) build: &'a [&'a str],
    /// The folder of the target folder where that leaves the program.
    pub(crate) folder: &'a str,
}

impl Program<'_> {
    /// Builds it and runs it with these arguments, in the folder of the workspace, and says whether both succeeded.
    pub(crate) fn run(&self, arguments: &[String]) -> Result<bool> {
        let Self { package, name, build, folder } = *self;
        if !has_member(package)? {
            bail!("the workspace has no member `{package}`");
        }
        if !succeeds(&mut cargo(&[&["build", "--package", package], build].concat()))? {
            return Ok(false);
        }
        let program = target_dir()?.join(folder).join(name);
        succeeds(Command::new(program).current_dir(root()).args(arguments))
    }
}

/// A command of cargo's that is no part of it: the one that is installed, or ours, or ours installed now. It is there if it
/// answers to `probe`.
pub(crate) fn tool(name: &str, probe: &[&str], version: &str) -> Result<PathBuf> {
    if is_there(Command::new(name).args(probe)) {
        return Ok(name.into());
    }
    let tools = target_dir()?.join("tools");
    let ours = tools.join("bin").join(name);
    if is_there(Command::new(&ours).args(probe)) {
        return Ok(ours);
    }
    let exactly = format!("={version}");
    let mut install = cargo(&["install", "--locked", "--version", &exactly, name, "--root"]);
    if !succeeds(install.arg(&tools))? {
        bail!("{name} {version} can't be installed");
    }
    Ok(ours)
}

/// Takes from a command what cargo has set for us: it names the toolchain that we are run with.
pub(crate) fn without_our_toolchain(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        if name == "CARGO" || name == "RUSTC" || name == "RUSTDOC" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program and says whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    announce(command);
    let status = command.status().with_context(|| format!("{} does not start", name(command)))?;
    Ok(status.success())
}

/// True if the program is there: it runs, and succeeds, without a word.
pub(crate) fn is_there(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs a program, shows what it prints, and counts the passed and failed that its closing lines name.
pub(crate) fn counts(command: &mut Command) -> Result<Counts> {
    announce(command);
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", name(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (printed, complained) = thread::scope(|scope| {
        let printed = scope.spawn(|| pass_on(stdout, std::io::stdout()));
        let complained = scope.spawn(|| pass_on(stderr, std::io::stderr()));
        (printed.join().unwrap_or_default(), complained.join().unwrap_or_default())
    });
    let success = child.wait()?.success();
    let mut counts = printed + complained;
    if !success && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

fn pass_on(from: Option<impl Read>, mut to: impl Write) -> Counts {
    let Some(from) = from else { return Counts::default() };
    let mut counts = Counts::default();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // A closed terminal is no reason to stop counting.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        counts += Counts::of_closing_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    counts
}

fn announce(command: &Command) {
    let variables = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={} ", name.to_string_lossy(), quoted(&value.to_string_lossy())))
    });
    let arguments = command.get_args().map(|argument| format!(" {}", quoted(&argument.to_string_lossy())));
    println!("\n$ {}{}{}", variables.collect::<String>(), name(command), arguments.collect::<String>());
}

fn name(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned()
}

fn quoted(text: &str) -> String {
    if text.contains([' ', '*']) { format!("'{text}'") } else { text.to_owned() }
}
