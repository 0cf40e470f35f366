//! What a command says: text for people, or one JSON object for programs.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::{Class, Failure};
use crate::files::{self, Readers};
use crate::text;

/// How this run speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

/// The result of a command: the same facts as text and as JSON.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
    json: Map<String, Value>,
    /// False if some of what was asked for was refused; each refusal has been told on its own.
    refused: bool,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line for people, or several. Names of files may be anything, so it is made safe to show; what
    /// came from a peer has gone through [`text::name`] or [`text::printable`] before.
    #[must_use]
    pub(crate) fn line(mut self, line: impl AsRef<str>) -> Self {
        self.text.push_str(&text::printable_lines(line.as_ref()));
        self.text.push('\n');
        self
    }

    /// A fact for programs.
    #[must_use]
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.json.insert(name.to_owned(), value.into());
        self
    }

    /// Part of it was refused: the exit code tells.
    #[must_use]
    pub(crate) fn refused(mut self, refused: bool) -> Self {
        self.refused = refused;
        self
    }
}

impl Output {
    /// Prints a report and gives the exit code. Nothing is on its way any more when this returns.
    pub(crate) fn finish(self, command: &str, report: &Report) -> Result<u8, Failure> {
        let mut shown = report.text.clone();
        if self.json {
            let mut object = Map::new();
            object.insert("ok".to_owned(), json!(!report.refused));
            object.insert("command".to_owned(), json!(command));
            object.extend(report.json.clone());
            shown = format!("{}\n", text::json(&Value::Object(object)));
        }
        write_stdout(shown.as_bytes())?;
        Ok(if report.refused { crate::failure::EXIT_REFUSED } else { 0 })
    }

    /// Tells a failure on standard error.
    pub(crate) fn fail(self, failure: &Failure) {
        if failure.class() == Class::OutputClosed {
            return;
        }
        let shown = if self.json {
            text::json(&json!({ "ok": false, "error": failure.to_json() }))
        } else {
            text::printable_lines(&format!("hushwood: {failure}"))
        };
        // There is nowhere left to say that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{shown}");
    }

    /// A remark for people, on standard error; programs find the facts in the report.
    pub(crate) fn remark(self, remark: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{}", text::printable_lines(remark.as_ref()));
        }
    }
}

/// Writes to standard output and flushes it.
pub(crate) fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stream("can't write to standard output", &error))
}

/// Where a command's message goes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Destination {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write as lines of text, for mail and chat; all commands read both forms
    #[arg(short, long)]
    pub(crate) armor: bool,
    /// Overwrite a file that exists; write binary data to a terminal
    #[arg(long)]
    pub(crate) force: bool,
}

impl Destination {
    /// Refuses what could not be written, before anything is made or changed.
    pub(crate) fn check(&self, output: Output) -> Result<(), Failure> {
        match &self.out {
            Some(path) if !self.force && path.symlink_metadata().is_ok() => {
                Err(Failure::refused(format!("{} exists", path.display()))
                    .advise("choose another name, or overwrite it with `--force`"))
            }
            Some(_) => Ok(()),
            None if output.json || self.armor || self.force || !io::stdout().is_terminal() => Ok(()),
            None => Err(Failure::refused("the message is binary and would garble the terminal")
                .advise("redirect it (`> FILE`), name a file (`--out FILE`), or use `--armor`")),
        }
    }

    /// Writes a message where it belongs and puts it, or its place, into the report.
    pub(crate) fn write(&self, output: Output, message: &[u8], report: Report) -> Result<Report, Failure> {
        let armoured = self.armor.then(|| files::armour(message).into_bytes());
        let bytes = armoured.as_deref().unwrap_or(message);
        match &self.out {
            Some(path) => {
                files::write(path, bytes, Readers::Everybody, self.force)?;
                let place = path.display().to_string();
                Ok(report.line(format!("wrote {place}")).fact("file", place).fact("bytes", bytes.len()))
            }
            None if output.json => {
                Ok(report.fact("message", text::base64(message)).fact("bytes", message.len()))
            }
            // Standard output carries the message and nothing else.
            None => {
                write_stdout(bytes)?;
                output.remark(report.text.trim_end());
                Ok(Report { text: String::new(), ..report })
            }
        }
    }
}

/// Where a command that makes a commit puts its files.
#[derive(Args, Clone, Debug)]
pub(crate) struct Folder {
    /// Put the files into this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Write the files as lines of text, for mail and chat
    #[arg(short, long)]
    pub(crate) armor: bool,
    /// Overwrite files that exist
    #[arg(long)]
    pub(crate) force: bool,
}

impl Folder {
    /// The place of a file, without the `./` of the default.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        if self.out == Path::new(".") { PathBuf::from(name) } else { self.out.join(name) }
    }

    /// Refuses what could not be written, before anything is made or changed.
    pub(crate) fn check(&self, names: &[String]) -> Result<(), Failure> {
        if !self.out.is_dir() {
            return Err(Failure::refused(format!("{} is no folder", self.out.display()))
                .advise("make it first, or name another with `--out DIR`"));
        }
        for place in names.iter().map(|name| self.place(name)) {
            if !self.force && place.symlink_metadata().is_ok() {
                return Err(Failure::refused(format!("{} exists", place.display())).advise(
                    "move it away, choose another folder with `--out`, or overwrite it with `--force`",
                ));
            }
        }
        Ok(())
    }

    /// Writes a message into the folder and gives its place.
    pub(crate) fn write(&self, name: &str, message: &[u8]) -> Result<PathBuf, Failure> {
        let armoured = self.armor.then(|| files::armour(message).into_bytes());
        let place = self.place(name);
        files::write(&place, armoured.as_deref().unwrap_or(message), Readers::Everybody, self.force)?;
        Ok(place)
    }
}
