//! The protocol for the browser: it and the pure-Rust provider built for wasm32-unknown-unknown, and run under
//! Node.js where that is installed.

use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::run;

/// What may be done to have the target.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install what is missing with Debian's apt-get
    #[arg(long)]
    install: bool,
}

const TARGET: &str = "wasm32-unknown-unknown";

/// What to do where neither is there.
const ADVICE: &str = "the target wasm32-unknown-unknown is not there. One of these will do:
  rustup target add wasm32-unknown-unknown
  rustup component add rust-src
  apt-get install rustc-web rust-web-src       (Debian; `cargo xtask wasm --install` does it)
Where nothing may be installed: unpack the packages `rust-std` for wasm32-unknown-unknown, or `rust-src`, of the version
that `rustc --version` names (static.rust-lang.org/dist has them) and copy what they have under lib/rustlib to
$(rustc --print sysroot)/lib/rustlib.";

/// `cargo xtask wasm`.
pub(crate) fn wasm(args: &Args) -> Result<bool> {
    let toolchain = match Toolchain::find()? {
        Some(toolchain) => toolchain,
        None if args.install => {
            let mut install = Command::new("apt-get");
            if !run::succeeds(install.args(["install", "--yes", "--no-install-recommends"]).args(PACKAGES))? {
                bail!("apt-get did not install {PACKAGES:?}");
            }
            Toolchain::find()?.context(ADVICE)?
        }
        None => bail!(ADVICE),
    };
    let start = Instant::now();
    // The libraries as a page uses them, with the browser's randomness.
    let built = run::succeeds(&mut toolchain.build()?)?;
    if !built {
        return Ok(false);
    }
    let program = output_dir()?.join(TARGET).join("release/wasm-smoke.wasm");
    let bytes = fs::metadata(&program).with_context(|| program.display().to_string())?.len();
    println!("\nbuilt in {:.0} s; wasm-smoke.wasm has {bytes} bytes", start.elapsed().as_secs_f64());
    runs(&program)
}

/// What builds for the target.
struct Toolchain {
    /// The compiler, if not cargo's own.
    rustc: Option<PathBuf>,
    /// Whether the standard library has to be built first.
    build_std: bool,
    linker: Option<PathBuf>,
}

/// Debian's compiler and the source of its standard library, of one version.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

impl Toolchain {
    /// The target of the toolchain that runs us; or its source; or Debian's compiler with its source.
    fn find() -> Result<Option<Self>> {
        let own = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = sysroot_of(&own)?;
        let rust_lld = sysroot.join(format!("lib/rustlib/{ARCH}-unknown-linux-gnu/bin/rust-lld"));
        let linker = Some(rust_lld).filter(|lld| lld.exists());
        if sysroot.join("lib/rustlib").join(TARGET).exists() {
            return Ok(Some(Self { rustc: None, build_std: false, linker: None }));
        }
        if has_source(&sysroot) {
            return Ok(Some(Self { rustc: None, build_std: true, linker }));
        }
        let debian = Path::new(DEBIAN_RUSTC);
        if debian.exists() && has_source(&sysroot_of(debian.as_os_str())?) {
            return Ok(Some(Self { rustc: Some(debian.into()), build_std: true, linker }));
        }
        Ok(None)
    }

    fn build(&self) -> Result<Command> {
        let mut command = run::cargo(&["build", "--release", "--target", TARGET]);
        // The protocol comes with the program that uses it, without its default feature: there are no threads.
        command.args(["--package=hushwood-rustcrypto", "--package=wasm-smoke"]);
        // Apart from what the usual compiler has built.
        command.env("CARGO_TARGET_DIR", output_dir()?);
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        if self.build_std {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        }
        if let Some(linker) = &self.linker {
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        Ok(command)
    }
}

fn output_dir() -> Result<PathBuf> {
    Ok(run::target_dir()?.join("wasm"))
}

fn sysroot_of(rustc: &OsStr) -> Result<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().context("rustc does not start")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/Cargo.toml").exists()
}

fn runs(program: &Path) -> Result<bool> {
    if !run::is_there(Command::new("node").arg("--version")) {
        println!("not run: Node.js is not installed");
        return Ok(true);
    }
    let start = Instant::now();
    let works = run::succeeds(
        Command::new("node").current_dir(run::root()).arg("xtask/wasm-smoke/run.cjs").arg(program),
    )?;
    let verdict = if works { "works on all seven suites" } else { "does not work" };
    println!("{verdict}, {:.1} s", start.elapsed().as_secs_f64());
    Ok(works)
}
