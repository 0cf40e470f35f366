//! PostgreSQL for the tests of the delivery service: the one that is there, or Debian's, put into target/tools.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::report::Outcome;
use crate::run;

/// What to do where it can't be brought.
const HOW: &str = "install PostgreSQL 13 or newer (on Debian: apt-get install postgresql), or name the folder of its programs in \
    HUSHWOOD_POSTGRES, such as /usr/lib/postgresql/15/bin";

/// `cargo xtask postgres`.
pub(crate) fn postgres() -> Result<bool> {
    let programs = match programs()? {
        Some(programs) => programs,
        None => install()?,
    };
    println!("{}", programs.display());
    run::succeeds(Command::new(programs.join("postgres")).arg("--version"))
}

/// The same as a step of a report.
pub(crate) fn step() -> Result<Outcome> {
    postgres().map(Outcome::from)
}

/// Where its programs are, as `test_support::postgres` looks for them: the folder that is named, ours, the PATH's, Debian's.
fn programs() -> Result<Option<PathBuf>> {
    let named = env::var_os("HUSHWOOD_POSTGRES").map(PathBuf::from);
    let ours = of_debian(&tools()?.join("usr/lib/postgresql"));
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = env::split_paths(&path).collect();
    let path = path.iter().filter_map(|folder| {
        let program = folder.join("postgres").canonicalize().ok()?;
        Some(program.parent()?.to_path_buf())
    });
    let debian = of_debian(Path::new("/usr/lib/postgresql"));
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    Ok(named.into_iter().chain(ours).chain(path).chain(debian).find(complete))
}

/// Debian's folders, the newest version first.
fn of_debian(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn tools() -> Result<PathBuf> {
    Ok(run::target_dir()?.join("tools").join("postgresql"))
}

/// Debian's packages, unpacked and not installed: no service starts, and nobody has to be root.
fn install() -> Result<PathBuf> {
    if !run::is_there(Command::new("apt-get").arg("--version")) {
        bail!("{HOW}");
    }
    let version = match newest() {
        Some(version) => version,
        None => {
            // Lists that were never fetched know nothing; without the right to fetch them it stays so.
            run::succeeds(Command::new("apt-get").args(["update", "-q"]))?;
            newest().context(HOW)?
        }
    };
    let (tools, packages) = (tools()?, tools()?.join("packages"));
    fs::create_dir_all(&packages)?;
    let mut download = Command::new("apt-get");
    download.current_dir(&packages).args(["download", "-q", "libpq5"]);
    download.args([&version, &version.replace("postgresql-", "postgresql-client-")]);
    if !run::succeeds(&mut download)? {
        bail!("{HOW}");
    }
    for package in fs::read_dir(&packages)? {
        if !run::succeeds(Command::new("dpkg").arg("-x").arg(package?.path()).arg(&tools))? {
            bail!("{HOW}");
        }
    }
    programs()?.context(HOW)
}

/// The package that Debian's `postgresql` stands for, such as `postgresql-15`.
fn newest() -> Option<String> {
    let output = Command::new("apt-cache").args(["depends", "postgresql"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let depends = text.lines().find_map(|line| line.trim().strip_prefix("Depends: postgresql-"))?;
    Some(format!("postgresql-{depends}"))
}
