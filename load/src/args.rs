//! What `cargo xtask load` takes.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;

/// How much the delivery service does, and how fast, beside what its engine does by itself; and what it does under a flood.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask load", bin_name = "cargo xtask load")]
pub struct Args {
    /// A minute's version: few connections, short measurements
    #[arg(long)]
    pub quick: bool,
    /// Which measurements; all of them without it
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Which databases; both without it
    #[arg(long, value_delimiter = ',')]
    pub database: Vec<Engine>,
    /// Write all figures into a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the tables into docs/performance.md
    #[arg(long)]
    pub write_docs: bool,
    /// The program `hushwood`
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

/// A measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Part {
    /// What disk and engine do by themselves
    Bare,
    /// Messages in many groups
    Messages,
    /// Commits in many groups
    Commits,
    /// Messages to many connected devices
    Fanout,
    /// Hostile connections and slow readers beside honest clients
    Flood,
}

/// A database.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
pub enum Engine {
    /// SQLite, with one node
    #[serde(rename = "SQLite")]
    Sqlite,
    /// PostgreSQL, with one node and with three
    #[serde(rename = "PostgreSQL")]
    Postgres,
}

impl Engine {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl Args {
    /// Whether a measurement is to be made.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The databases.
    #[must_use]
    pub fn engines(&self) -> Vec<Engine> {
        match self.database.is_empty() {
            true => vec![Engine::Sqlite, Engine::Postgres],
            false => self.database.clone(),
        }
    }

    /// The command that does the same again.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = "cargo xtask load".to_owned();
        let mut list = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                command.push_str(&format!(" {name} {}", values.join(",")));
            }
        };
        let said =
            |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
        list("--only", self.only.iter().filter_map(|part| said(part.to_possible_value())).collect());
        list("--database", self.database.iter().filter_map(|one| said(one.to_possible_value())).collect());
        for (flag, is_set) in [(" --quick", self.quick), (" --write-docs", self.write_docs)] {
            command.push_str(if is_set { flag } else { "" });
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_what_was_asked_for() {
        for command in [
            "cargo xtask load",
            "cargo xtask load --quick",
            "cargo xtask load --only bare,flood --database postgres --write-docs",
        ] {
            let words = command.split(' ').skip(2);
            assert_eq!(Args::parse_from(words).command(), command);
        }
    }
}
