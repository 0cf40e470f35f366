//! docs/performance.md: the service's figures, between marks; what people have written around them stays.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::Report;

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- service: written by `cargo xtask load --write-docs` -->\n";
const END: &str = "<!-- end of service -->";

/// Writes the figures into the page below this folder.
///
/// # Errors
/// If the page has no marks, or can't be written.
pub fn write(folder: &Path, report: &Report) -> Result<()> {
    let page = folder.join(PAGE);
    let text = fs::read_to_string(&page).context(PAGE)?;
    let Report { command, date, machine, .. } = report;
    let figures = format!("\n`{command}`, on {date}, on {machine}.\n\n{}\n", report.tables());
    fs::write(&page, between(&text, &figures)?).context(PAGE)
}

/// The page with something else between its marks.
fn between(page: &str, figures: &str) -> Result<String> {
    let begin = page.find(BEGIN).with_context(|| format!("{PAGE} has no line {BEGIN}"))? + BEGIN.len();
    let (before, rest) = page.split_at(begin);
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no line {END}"))?;
    Ok(format!("{before}{figures}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_have_written_stays() {
        let page = format!("# By hand\n{BEGIN}old\n{END}\nBy hand as well\n");
        let new = between(&page, "new\n").unwrap();
        assert_eq!(new, format!("# By hand\n{BEGIN}new\n{END}\nBy hand as well\n"));
        assert!(between("# By hand\n", "new\n").is_err(), "a page without marks is left alone");
    }

    #[test]
    fn the_page_has_its_marks() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
        assert!(between(&fs::read_to_string(page).unwrap(), "").is_ok());
    }
}
