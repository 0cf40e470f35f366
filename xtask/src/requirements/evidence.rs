//! What a run of nextest has shown: which tests passed, and which rows the errors in them named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::run;

/// Tests are called as nextest calls them: the binary, a space, the test.
pub(crate) struct Evidence {
    /// True for those that passed.
    pub(crate) tests: BTreeMap<String, bool>,
    /// By test.
    pub(crate) rows: BTreeMap<String, BTreeSet<String>>,
}

/// Where tests note rows, and the variable that tells them: the same as in `test-support/src/rows.rs`.
pub(crate) const VARIABLE: &str = "HUSHWOOD_ROWS";

pub(crate) fn notes() -> Result<PathBuf> {
    Ok(run::target_dir()?.join("requirements"))
}

fn report() -> Result<PathBuf> {
    Ok(run::target_dir()?.join("nextest/default/junit.xml"))
}

/// Removes what an earlier run has left.
pub(crate) fn clear() -> Result<()> {
    let (notes, report) = (notes()?, report()?);
    if notes.exists() {
        fs::remove_dir_all(&notes)?;
    }
    fs::create_dir_all(&notes)?;
    if report.exists() {
        fs::remove_file(&report)?;
    }
    Ok(())
}

/// Reads what the run after [`clear`] has left.
pub(crate) fn read() -> Result<Evidence> {
    let report = fs::read_to_string(report()?).context("nextest has left no report")?;
    let mut evidence = Evidence { tests: results(&report), rows: BTreeMap::new() };
    for entry in fs::read_dir(notes()?)? {
        for line in fs::read_to_string(entry?.path())?.lines() {
            if let Some((test, row)) = line.rsplit_once(' ') {
                evidence.rows.entry(test.to_owned()).or_default().insert(row.to_owned());
            }
        }
    }
    Ok(evidence)
}

/// The tests in nextest's JUnit report. What tests print is escaped there, so a tag is a tag.
fn results(report: &str) -> BTreeMap<String, bool> {
    let mut tests = BTreeMap::new();
    for case in report.split("<testcase ").skip(1) {
        let (tag, rest) = case.split_once('>').unwrap_or((case, ""));
        let body = if tag.ends_with('/') { "" } else { rest.split("</testcase>").next().unwrap_or("") };
        let passed = !body.contains("<failure") && !body.contains("<error");
        if let (Some(binary), Some(name)) = (attribute(tag, "classname"), attribute(tag, "name")) {
            tests.insert(format!("{binary} {name}"), passed);
        }
    }
    tests
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut attributes = tag.split_whitespace().filter_map(|attribute| attribute.split_once('='));
    let (_, value) = attributes.find(|(found, _)| *found == name)?;
    value.trim_start_matches('"').split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_and_failed_tests_are_read_from_the_report() {
        let report = r#"<testsuites><testsuite name="hushwood::late" tests="2">
            <testcase name="one" classname="hushwood::late" timestamp="t" time="0.1">
            </testcase>
            <testcase name="a::two" classname="hushwood::late" time="0.1">
                <failure type="test failure">&lt;testcase name="x"</failure>
            </testcase>
            <testcase name="three" classname="hushwood" time="0.1"/></testsuite></testsuites>"#;
        let found: Vec<_> = results(report).into_iter().collect();
        let want = [("hushwood three", true), ("hushwood::late a::two", false), ("hushwood::late one", true)];
        assert_eq!(found, want.map(|(name, passed)| (name.to_owned(), passed)));
    }
}
