//! Processes of Hushwood, to play against.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Processes that end when this does.
#[derive(Default)]
pub struct Own {
    /// Where they listen.
    pub addresses: Vec<String>,
    processes: Vec<Child>,
    /// Kept so that the processes can write to it.
    outputs: Vec<BufReader<ChildStdout>>,
}

impl Own {
    /// Starts so many, each on a free port of the loopback interface, and waits until they listen.
    ///
    /// # Errors
    /// If there is no such program, or if it does not say where it listens.
    pub fn start(program: Option<&Path>, count: usize) -> Result<Self> {
        let mut own = Self::default();
        if count == 0 {
            return Ok(own);
        }
        let program = match program {
            Some(program) => program.to_owned(),
            None => beside_this()?,
        };
        for _ in 0..count {
            let process = Command::new(&program)
                .args(["--port", "0"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("{} does not start", program.display()))?;
            // From here on it is ended, whatever happens.
            own.processes.push(process);
            let output = own.processes.last_mut().and_then(|process| process.stdout.take());
            let mut output = BufReader::new(output.context("a process without output")?);
            let mut line = String::new();
            output.read_line(&mut line)?;
            let Some((_, address)) = line.trim_end().split_once(LISTENS) else {
                bail!("{} does not say where it listens", program.display());
            };
            own.addresses.push(address.to_owned());
            own.outputs.push(output);
        }
        Ok(own)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // One that has ended by itself can't be killed, and need not be.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

const LISTENS: &str = " listens on ";

fn beside_this() -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program does not know where it is")?;
    let program = this.with_file_name(format!("hushwood-interop{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        bail!(
            "there is no {}: `cargo xtask interop` builds it, --server names another, --client does without",
            program.display()
        );
    }
    Ok(program)
}
