//! A program of its own that answers questions: one JSON object a line each way, one question at a time.
//!
//! Whatever it does wrong is an error and not a wait: it ends, it is silent for too long, it answers something else. After
//! that it is not asked again, as its next line could be the answer to another question.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use serde_json::{Map, Value};

/// A running program; dropping it ends it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<std::io::Result<String>>,
    limit: Duration,
    asked: u64,
    /// Why it is not asked any more.
    broken: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoAnswer {
    /// The program is of no use any more, for this reason.
    Broken(String),
    /// The program says why it could not do what it was asked.
    Refused(String),
}

impl Program {
    /// Starts it. An answer may take as long as `limit`.
    ///
    /// # Errors
    /// [`NoAnswer::Broken`] where the program can't be started.
    pub fn start(command: &mut Command, limit: Duration) -> Result<Self, NoAnswer> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
            let name = command.get_program().to_string_lossy();
            NoAnswer::Broken(format!("{name} does not start: {error}"))
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(NoAnswer::Broken("the program has no pipes".into()));
        };
        Ok(Self { child, stdin, lines: lines_of(stdout), limit, asked: 0, broken: None })
    }

    /// Whether it can be asked.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Asks for an operation and waits for the answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn ask(&mut self, operation: &str, mut question: Map<String, Value>) -> Result<Value, NoAnswer> {
        if let Some(why) = &self.broken {
            return Err(NoAnswer::Broken(why.clone()));
        }
        self.asked += 1;
        question.insert("id".into(), self.asked.into());
        question.insert("op".into(), operation.into());
        match self.exchange(&Value::Object(question)) {
            Ok(answer) => match answer.get("error").and_then(Value::as_str) {
                Some(refusal) => Err(NoAnswer::Refused(refusal.into())),
                None => Ok(answer),
            },
            Err(why) => {
                let why = format!("{operation}: {why}");
                self.broken = Some(why.clone());
                // It may hang; nobody listens to it any more.
                let _ = self.child.kill();
                Err(NoAnswer::Broken(why))
            }
        }
    }

    fn exchange(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.stdin, "{question}")
            .and_then(|()| self.stdin.flush())
            .map_err(|error| format!("the program does not listen: {error}"))?;
        let line = match self.lines.recv_timeout(self.limit) {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return Err(format!("the program does not write text: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the program gave no answer in {} s", self.limit.as_secs_f32()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the program ended".into()),
        };
        let answer: Value = serde_json::from_str(&line)
            .map_err(|error| format!("the program does not answer JSON: {error}"))?;
        if answer.get("id").and_then(Value::as_u64) != Some(self.asked) {
            return Err("the program answers another question".into());
        }
        Ok(answer)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads in a thread of its own, as only a channel can be waited for with a limit; it ends with the program.
fn lines_of(stdout: ChildStdout) -> Receiver<std::io::Result<String>> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
