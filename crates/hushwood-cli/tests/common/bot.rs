//! `hushwood serve` and `hushwood bot` as processes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hushwood");

/// A process that ends with its test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Served {
    pub process: Ended,
    pub url: String,
    pub fingerprint: String,
}

pub fn serve(data: &Path) -> Served {
    serve_with(data, &[])
}

pub fn serve_with(data: &Path, words: &[&str]) -> Served {
    serve_at("0", data, words)
}

/// At this port of this machine.
pub fn serve_at(port: &str, data: &Path, words: &[&str]) -> Served {
    let mut process = Command::new(PROGRAM)
        .args(["serve", "--json", "--port", port, "--log", "error"])
        .args(words)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process = Ended(process);
    let told: Value = serde_json::from_str(&line).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    Served { process, url: text("url"), fingerprint: text("fingerprint") }
}

pub struct Bot {
    pub process: Ended,
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub events: Vec<Value>,
    asked: u64,
    pub device: String,
}

/// The program as this bot, which looks for news five times a second.
pub fn command(person: &str, home: &Path, served: &Served, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["bot", person, "--poll", "200", "--server", &served.url])
        .args(words)
        .args(["--fingerprint", &served.fingerprint, "--home"])
        .arg(home)
        .env("HUSHWOOD_KEY_FILE", home.with_extension("key"));
    command
}

impl Bot {
    pub fn start(person: &str, home: &Path, served: &Served) -> Self {
        Self::start_with(person, home, served, &[])
    }

    pub fn start_with(person: &str, home: &Path, served: &Served, words: &[&str]) -> Self {
        let mut command = command(person, home, served, words);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let process = Ended(process);
        let mut bot = Self { process, input, output, events: Vec::new(), asked: 0, device: String::new() };
        let ready = bot.line();
        assert_eq!(ready["event"], "ready", "{ready}");
        ready["device"].as_str().unwrap().clone_into(&mut bot.device);
        bot
    }

    pub fn line(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "it has ended");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["v"], 1, "{line}");
        line
    }

    /// Asks, keeps what happens meanwhile, and gives the answer.
    pub fn ask(&mut self, mut request: Value) -> Value {
        self.asked += 1;
        let id = json!(self.asked);
        request["v"] = json!(1);
        request["id"] = id.clone();
        writeln!(self.input.as_ref().unwrap(), "{request}").unwrap();
        loop {
            let line = self.line();
            match line.get("event") {
                Some(_) => self.events.push(line),
                None => {
                    assert_eq!(line["id"], id, "{line}");
                    return line;
                }
            }
        }
    }

    pub fn done(&mut self, request: Value) -> Value {
        let answer = self.ask(request.clone());
        assert_eq!(answer["ok"], true, "{request}: {answer}");
        answer
    }

    /// The next event of a kind, once it has come.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["event"] == kind) {
                return self.events.remove(at);
            }
            let line = self.line();
            self.events.push(line);
        }
    }

    pub fn end(mut self) {
        drop(self.input.take());
        let status = self.process.0.wait().unwrap();
        assert!(status.success());
    }
}
