//! Processes of ours, which end when we do, whatever ends us.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

/// Ends the processes that it was told of when the pipe to it is closed. No destructor of ours has to run for that.
#[derive(Clone)]
pub struct Guard(Arc<Mutex<ChildStdin>>);

impl Guard {
    /// A guard that has nothing to watch yet.
    ///
    /// # Errors
    /// If there is no shell.
    pub fn new() -> Result<Self> {
        let script = r#"all=""
            while read -r sign pid; do
                case $sign in
                    +) all="$all $pid" ;;
                    -) left=""; for one in $all; do [ "$one" = "$pid" ] || left="$left $one"; done; all=$left ;;
                esac
            done
            [ -z "$all" ] || kill -KILL $all 2> /dev/null"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let input = command.spawn().context("no shell")?.stdin.take().context("no pipe")?;
        Ok(Self(Arc::new(Mutex::new(input))))
    }

    fn tell(&self, sign: char, process: u32) {
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without it we still end what we have started ourselves.
        let _ = writeln!(input, "{sign} {process}");
    }
}

/// A process, to be killed by one thread and waited for by another.
pub struct Process {
    child: Mutex<Option<Child>>,
    guard: Guard,
    /// Kills that were meant for it.
    killed: Mutex<bool>,
}

impl Process {
    /// Starts it. What it writes on standard error goes to the end of a file.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(mut command: Command, errors: &Path, guard: &Guard) -> Result<Self> {
        let errors = File::options().create(true).append(true).open(errors)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let child = command.spawn().with_context(|| format!("{:?} does not start", command.get_program()))?;
        guard.tell('+', child.id());
        Ok(Self { child: Mutex::new(Some(child)), guard: guard.clone(), killed: Mutex::new(false) })
    }

    /// Does something with the process, if it has not been waited for.
    pub fn with<T>(&self, what: impl FnOnce(&mut Child) -> T) -> Option<T> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(what)
    }

    /// `kill -9`. True if it was running.
    pub fn kill(&self) -> bool {
        let killed = self.with(|child| match child.try_wait() {
            Ok(None) => {
                // Before it happens: somebody may wait for its end.
                *self.killed.lock().unwrap_or_else(PoisonError::into_inner) = true;
                child.kill().is_ok()
            }
            Ok(Some(_)) | Err(_) => false,
        });
        killed == Some(true)
    }

    /// Waits for its end. An error tells of an end that nobody has asked for.
    ///
    /// # Errors
    /// What is said of it then.
    pub fn ended(&self) -> Result<(), String> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut child) = child else { return Ok(()) };
        drop(child.stdin.take());
        let status = child.wait().map_err(|error| error.to_string())?;
        self.guard.tell('-', child.id());
        let was_killed = *self.killed.lock().unwrap_or_else(PoisonError::into_inner);
        match is_ours(status, was_killed) {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    }

    /// Whether it is running.
    pub fn runs(&self) -> bool {
        self.with(|child| matches!(child.try_wait(), Ok(None))) == Some(true)
    }
}

fn is_ours(status: ExitStatus, was_killed: bool) -> bool {
    const SIGKILL: i32 = 9;
    status.success() || (was_killed && status.signal() == Some(SIGKILL))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.ended();
    }
}
