//! The client that is killed, in a process of its own.
//!
//! Both ends of the pipes are here: [`serve`], which the process runs, and [`Process`], through which the outside speaks
//! with it. What the outside has not read from the pipe has not left.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use serde::{Deserialize, Serialize};
use test_support::recording;

use crate::client::Client;
use crate::command::{Answer, Command};
use crate::disk::{DiskOptions, SqliteDisk};
use crate::{ME, provider};

/// The argument that makes the program the client.
pub const CLIENT: &str = "client";
/// Ends a process by SIGKILL.
const SIGKILL: i32 = 9;

/// How the process is started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Start {
    /// Its disk.
    pub disk: DiskOptions,
    /// Where it writes which keys and nonces it uses, before it does.
    pub seals: PathBuf,
    /// Where it writes which command was done.
    pub progress: String,
}

/// What happens to the process, at which of its calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is killed before the call of this number.
    Kill(u64),
    /// It is killed in the middle of it, if it is a write.
    Half(u64),
    /// This and as many calls fail with EIO.
    Eio(u64, u64),
    /// This and as many calls fail with ENOSPC.
    Full(u64, u64),
    /// This and as many requests for locks are refused.
    Busy(u64, u64),
    /// This and as many syncs fail with EIO.
    Sync(u64, u64),
}

impl Fault {
    fn variables(self) -> [(&'static str, String); 3] {
        let (name, at, times) = match self {
            Self::Kill(at) => ("kill", at, 1),
            Self::Half(at) => ("half", at, 1),
            Self::Eio(at, times) => ("eio", at, times),
            Self::Full(at, times) => ("enospc", at, times),
            Self::Busy(at, times) => ("busy", at, times),
            Self::Sync(at, times) => ("sync", at, times),
        };
        [("CRASH_FAULT", name.into()), ("CRASH_AT", at.to_string()), ("CRASH_TIMES", times.to_string())]
    }
}

/// Does what the lines of standard input say, and answers each with a line.
///
/// # Errors
/// A line that can't be read or written.
pub fn serve(start: &str) -> Result<(), Box<dyn std::error::Error>> {
    let Start { disk, seals, progress } = serde_json::from_str(start)?;
    recording::write_to(OpenOptions::new().create(true).append(true).open(seals)?);
    let say = |answer: &Answer| -> Result<(), Box<dyn std::error::Error>> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        // One call, so that whoever counts calls knows when the answer was given.
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        Ok(out.flush()?)
    };
    let started = SqliteDisk::open(disk).and_then(|disk| Client::start(ME, &progress, provider(), disk));
    let mut client = match started {
        Ok(client) => client,
        Err(trouble) => {
            say(&Answer::Failed(trouble))?;
            // Until it is killed, as always.
            std::io::stdin().lock().lines().for_each(drop);
            return Ok(());
        }
    };
    say(&client.ask(&Command::view()))?;
    for line in std::io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        recording::mark(command.tag());
        say(&client.ask(&command))?;
    }
    Ok(())
}

/// A client in a process of its own.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// The programs that are needed: ourselves, and the library that stands between a process and its files.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program `crash`.
    pub crash: PathBuf,
    /// The library, as [`shim::built`](crate::shim::built) gives it.
    pub shim: PathBuf,
}

impl Process {
    /// Starts it. Its first answer says what it has found on its disk, or why it can't open it; `None` if it died.
    ///
    /// # Panics
    /// If the program can't be started.
    #[must_use]
    pub fn start(
        programs: &Programs,
        start: &Start,
        log: Option<&Path>,
        fault: Option<Fault>,
    ) -> (Self, Option<Answer>) {
        let mut program = Program::new(&programs.crash);
        program
            .arg(CLIENT)
            .arg(serde_json::to_string(start).expect("it is text"))
            .env("RAYON_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if log.is_some() || fault.is_some() {
            program.env("LD_PRELOAD", &programs.shim).env("CRASH_FOLDER", &start.disk.folder);
        }
        if let Some(log) = log {
            program.env("CRASH_LOG", log);
        }
        program.envs(fault.into_iter().flat_map(Fault::variables));
        let mut child = program.spawn().expect("the program starts");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut process = Self {
            child,
            input: input.expect("it is piped"),
            output: BufReader::new(output.expect("it is piped")),
        };
        let answer = process.read();
        (process, answer)
    }

    /// Has it do something; `None` if it died.
    pub fn ask(&mut self, command: &Command) -> Option<Answer> {
        let mut line = serde_json::to_vec(command).expect("it is text");
        line.push(b'\n');
        // It may be dead already.
        self.input.write_all(&line).ok()?;
        self.read()
    }

    fn read(&mut self) -> Option<Answer> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        line.ends_with('\n').then(|| serde_json::from_str(&line).expect("it is an answer"))
    }

    /// Kills it, if it is not dead. True if it was killed, by us or by what we have asked for, and did not end by itself.
    pub fn kill(mut self) -> bool {
        let _ = self.child.kill();
        self.child.wait().expect("it is ours").signal() == Some(SIGKILL)
    }

    /// Lets it come to its end. True if that was a good one.
    pub fn end(self) -> bool {
        let Self { mut child, input, output } = self;
        drop((input, output));
        child.wait().expect("it is ours").success()
    }
}
