//! What `cargo xtask bench` takes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use crate::recorder::OPERATIONS;

/// Times Hushwood, by itself or beside other implementations.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub struct Args {
    /// Members of the groups
    #[arg(long, value_delimiter = ',', default_value = "2,10,100,1000,10000")]
    pub sizes: Vec<u32>,
    /// Other implementations as well (xtask builds with the feature `peers`)
    #[arg(long)]
    pub peers: bool,
    /// The suite's number in the registry
    #[arg(long, default_value_t = 1)]
    pub suite: u16,
    /// Which operations, and their variants; all of them without it
    #[arg(long, value_delimiter = ',')]
    pub ops: Vec<String>,
    /// Threads that each implementation may use, one run for each number; from the second on, only of what is shared
    /// among threads
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub threads: Vec<usize>,
    /// Write all figures into a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the tables and the plots into docs/
    #[arg(long)]
    pub write_docs: bool,
    /// Count the instructions of a few operations as well (valgrind has to be installed)
    #[arg(long)]
    pub instructions: bool,
    /// Seconds that an implementation may take for one scene at one size
    #[arg(long, default_value_t = 120)]
    pub budget: u64,
    /// Seconds after which a scene that has been played twice is not played again
    #[arg(long, default_value_t = 6)]
    pub enough: u64,
    /// Only the implementations whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Run one operation once and measure nothing: for profilers
    #[arg(long, num_args = 2, value_names = ["OP", "N"])]
    pub once: Option<Vec<String>>,
    /// Write everything into a file, for the process that has started this one
    #[arg(long, hide = true)]
    pub results: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
}

impl Args {
    /// The operations.
    ///
    /// # Errors
    /// For a name that is none.
    pub fn operations(&self) -> Result<BTreeSet<String>> {
        for name in &self.ops {
            let family = name.split('.').next().unwrap_or(name);
            if !OPERATIONS.contains(&family) {
                bail!("no operation {name}; there are {}", OPERATIONS.join(", "));
            }
        }
        Ok(match self.ops.is_empty() {
            true => OPERATIONS.iter().map(|&name| name.to_owned()).collect(),
            false => self.ops.iter().cloned().collect(),
        })
    }

    /// Whether an implementation takes part.
    #[must_use]
    pub fn selects(&self, implementation: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| implementation.contains(part))
    }
}
