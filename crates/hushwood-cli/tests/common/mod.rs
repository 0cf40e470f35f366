//! Runs the built program.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod bot;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A folder of its own for one test, gone when the test has passed.
pub struct Place {
    path: PathBuf,
    key_file: bool,
}

/// What a run of the program gave.
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Place {
    pub fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path, key_file: false }
    }

    /// The homes in it are opened by a key file, which is faster than a passphrase is meant to be.
    pub fn with_key_file(test: &str) -> Self {
        let mut place = Self::new(test);
        place.key_file = true;
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// A run in this folder, with nothing of the environment that matters.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hushwood"));
        command.current_dir(&self.path).args(arguments);
        for name in ["HUSHWOOD_HOME", "HUSHWOOD_KEY_FILE", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", &self.path).env("HUSHWOOD_PASSPHRASE", "correct horse");
        if self.key_file {
            command.env("HUSHWOOD_KEY_FILE", self.path("home.key"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `hushwood` with these words and this standard input.
    pub fn run_with(&self, words: &str, input: &[u8]) -> Run {
        run(&mut self.command(words.split_whitespace()), input)
    }

    pub fn run(&self, words: &str) -> Run {
        self.run_with(words, b"")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

pub fn run(command: &mut Command, input: &[u8]) -> Run {
    let mut child = command.spawn().unwrap();
    // A program that reads nothing closes the pipe: its right.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Run { code: status.code().unwrap(), stdout, stderr: String::from_utf8(stderr).unwrap() }
}

impl Run {
    /// It succeeded: its standard output.
    #[track_caller]
    pub fn ok(self) -> Vec<u8> {
        assert_eq!(self.code, 0, "{}{}", self.text(), self.stderr);
        self.stdout
    }

    /// It succeeded: its standard output as text.
    #[track_caller]
    pub fn ok_text(self) -> String {
        String::from_utf8(self.ok()).unwrap()
    }

    /// It succeeded: its standard output as JSON.
    #[track_caller]
    pub fn ok_json(self) -> Value {
        let value: Value = serde_json::from_slice(&self.ok()).unwrap();
        assert_eq!(value["ok"], true);
        value
    }

    /// It failed with this code: its standard error.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.text(), self.stderr);
        self.stderr
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}
