//! The benchmark: the crate `bench`, built with its own profile.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Passed on as they are, but for what decides how it is built and run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--sizes 10,1000 --ops join_flat --peers`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask bench`.
pub(crate) fn bench(args: &Args) -> Result<bool> {
    if !run::has_member("bench")? {
        bail!("the workspace has no member `bench`");
    }
    let has = |flag: &str| args.arguments.iter().any(|argument| argument == flag);
    let features: &[&str] = if has("--peers") { &["--features", "peers"] } else { &[] };
    let build = [&["build", "--package", "bench", "--bins", "--profile", "bench"], features].concat();
    if !run::succeeds(&mut run::cargo(&build))? {
        return Ok(false);
    }
    let folder = run::target_dir()?.join("release");
    let program = folder.join("bench");
    if !has("--instructions") {
        return run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments));
    }
    instructions(&program, args)
}

/// Operations whose instructions are counted, at one size that is quick to reach and large enough to see growth.
const COUNTED: [&str; 6] =
    ["join_merged", "update_commit", "update_process", "apply_own", "encrypt_1k", "decrypt_1k"];
const MEMBERS: &str = "1000";

/// Counts the instructions of a few operations, each in a process of its own.
fn instructions(program: &std::path::Path, args: &Args) -> Result<bool> {
    if !run::is_there(Command::new("valgrind").arg("--version")) {
        bail!("valgrind is not installed");
    }
    let rest: Vec<_> = args.arguments.iter().filter(|argument| *argument != "--instructions").collect();
    for operation in COUNTED {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
        command.arg("--toggle-collect=*bench::recorder::once*").arg(program);
        command.args(["--once", operation, MEMBERS, "--only", "hushwood/rustcrypto"]).args(&rest);
        if !run::succeeds(&mut command)? {
            return Ok(false);
        }
    }
    Ok(true)
}
