//! docs/performance.md: what was measured, between marks; what people have written around them stays.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use test_support::machine;

use crate::args::Args;
use crate::cell::Results;
use crate::{instructions, plots, table, targets};

const PAGE: &str = "docs/performance.md";
const PLOTS: &str = "docs/performance";
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --write-docs` -->\n";
const END: &str = "<!-- end of figures -->";

/// Writes the figures into the page below this folder, and the plots beside it.
///
/// # Errors
/// If the page has no marks, or a file can't be written.
pub fn write(folder: &Path, args: &Args, results: &Results, counted: &[(&str, u64)]) -> Result<()> {
    let page = folder.join(PAGE);
    let text = fs::read_to_string(&page).context(PAGE)?;
    fs::create_dir_all(folder.join(PLOTS)).context(PLOTS)?;
    let mut drawn = Vec::new();
    for operation in plots::DRAWN {
        let file = folder.join(PLOTS).join(format!("{operation}.svg"));
        if plots::draw(&results.cells, operation, &file)? {
            drawn.push(operation);
        }
    }
    let text = between(&text, &figures(args, results, counted, &drawn))?;
    fs::write(&page, text).context(PAGE)
}

/// The page with something else between its marks.
fn between(page: &str, figures: &str) -> Result<String> {
    let begin = page.find(BEGIN).with_context(|| format!("{PAGE} has no line {BEGIN}"))? + BEGIN.len();
    let (before, rest) = page.split_at(begin);
    let end = rest.find(END).with_context(|| format!("{PAGE} has no line {END}"))?;
    Ok(format!("{before}{figures}{}", &rest[end..]))
}

fn figures(args: &Args, results: &Results, counted: &[(&str, u64)], drawn: &[&str]) -> String {
    let mut out = format!(
        "\nSuite {}, measured on {} on {}.\n\n## What was to be reached\n\n{}\n## Time against group size\n\n",
        args.suite,
        machine::today(),
        machine::machine(),
        targets::table(&results.cells)
    );
    for operation in drawn {
        let _ = writeln!(out, "![{operation}](performance/{operation}.svg)");
    }
    let _ = writeln!(out, "\n## All figures\n{}", table::tables(&results.cells));
    let _ = writeln!(out, "## Primitives\n\n{}", table::prices(&results.prices));
    if !counted.is_empty() {
        let _ = writeln!(
            out,
            "## Instructions\n\nOf {}, counted by callgrind.\n\n{}",
            instructions::IMPLEMENTATION,
            instructions::table(counted)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_have_written_stays() {
        let page = format!("# By hand\n{BEGIN}old\n{END}\nBy hand as well\n");
        let new = between(&page, "new\n").unwrap();
        assert_eq!(new, format!("# By hand\n{BEGIN}new\n{END}\nBy hand as well\n"));
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert!(between("# By hand\n", "new\n").is_err());
    }
}
