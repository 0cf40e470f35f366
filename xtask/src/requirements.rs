//! Every row of `spec/` has its code and its tests: the map, checked against the sources and against what ran.

mod evidence;
mod map;
mod places;

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, bail};

use self::evidence::Evidence;
use self::map::{KINDS, Row, Section};
use self::places::Places;
use crate::report::Outcome;
use crate::run;

/// What to look at.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Run the tests that the map names, and compare the rows that errors named in them
    #[arg(long)]
    run: bool,
}

const FOLDER: &str = "spec";

/// `cargo xtask requirements`.
pub(crate) fn requirements(args: &Args) -> Result<bool> {
    let sections = map::read(&run::root().join(FOLDER))?;
    let passed = if args.run { run_tests(&sections)? } else { true };
    let evidence = if args.run { Some(evidence::read()?) } else { None };
    Ok(check(&sections, evidence.as_ref())? && passed)
}

/// Has the tests of this command note the rows that errors name, for [`after_tests`].
pub(crate) fn observe(nextest: &mut Command) -> Result<()> {
    evidence::clear()?;
    nextest.env(evidence::VARIABLE, evidence::notes()?);
    Ok(())
}

/// The same check after a run of all tests that was observed.
pub(crate) fn after_tests() -> Result<Outcome> {
    let sections = map::read(&run::root().join(FOLDER))?;
    check(&sections, Some(&evidence::read()?)).map(Outcome::from)
}

/// Runs the tests that the map names, and no others.
fn run_tests(sections: &[Section]) -> Result<bool> {
    let named: BTreeSet<&String> = rows(sections).flat_map(|(_, row)| row.all_tests()).collect();
    let mut packages = BTreeSet::new();
    let mut filters = Vec::new();
    for test in named {
        let Some((binary, name)) = test.split_once(' ') else { bail!("{test:?} is not a binary and a test") };
        packages.insert(binary.split("::").next().unwrap_or(binary));
        filters.push(format!("(binary_id(={binary}) & test(={name}))"));
    }
    let mut nextest = run::cargo(&["nextest", "run", "--no-fail-fast", "--hide-progress-bar"]);
    nextest.arg("--status-level=fail").arg("--final-status-level=fail");
    packages.iter().for_each(|package| _ = nextest.args(["--package", package]));
    println!("{} tests of {} packages", filters.len(), packages.len());
    nextest.arg("--filterset").arg(filters.join(" | "));
    observe(&mut nextest)?;
    // Not shown: the filter names each test.
    Ok(nextest.status()?.success())
}

fn rows(sections: &[Section]) -> impl Iterator<Item = (&Section, &Row)> {
    sections.iter().flat_map(|section| section.list.iter().map(move |row| (section, row)))
}

fn check(sections: &[Section], evidence: Option<&Evidence>) -> Result<bool> {
    let places = Places::read()?;
    let mut faults = Vec::new();
    for section in sections {
        if section.list.len() != section.rows {
            let (there, want) = (section.list.len(), section.rows);
            faults.push(format!("{}: {there} rows, and there should be {want}", section.file));
        }
    }
    let mut ids = BTreeSet::new();
    for (section, row) in rows(sections) {
        let place = format!("{}: {}", section.file, row.id);
        if !ids.insert(row.id.as_str()) {
            faults.push(format!("{place} is there twice"));
        }
        faults.extend(faults_of(row, &places, evidence).into_iter().map(|fault| format!("{place}: {fault}")));
    }
    for (id, file) in &places.cited {
        // Rows of RFC 9750 (A...) are not in the map yet.
        if id.starts_with('C') && !ids.contains(id.as_str()) {
            faults.push(format!("{file} cites {id}, which is no row"));
        }
    }
    print(sections);
    for fault in &faults {
        println!("{fault}");
    }
    println!(
        "{} faults{}",
        faults.len(),
        if evidence.is_none() { "; what ran was not looked at" } else { "" }
    );
    Ok(faults.is_empty())
}

fn faults_of(row: &Row, places: &Places, evidence: Option<&Evidence>) -> Vec<String> {
    let mut faults = row.faults();
    faults.extend(row.code.iter().filter_map(|place| places.fault_of_code(place)));
    for test in row.all_tests() {
        if !places.has_test(test) {
            faults.push(format!("there is no test {test}"));
            continue;
        }
        let Some(evidence) = evidence else { continue };
        match evidence.tests.get(test) {
            Some(true) => (),
            Some(false) => faults.push(format!("failed: {test}")),
            None => faults.push(format!("did not run: {test}")),
        }
    }
    // An error that came out in the test has named this very row.
    if let Some(evidence) = evidence {
        let names = |test: &String| evidence.rows.get(test).is_some_and(|rows| rows.contains(&row.id));
        let silent = row.refuses.iter().filter(|test| !names(test));
        faults.extend(silent.map(|test| format!("no error names it in {test}")));
    }
    faults
}

/// A line for each section, and the totals.
fn print(sections: &[Section]) {
    println!(
        "{:<4}{:<52}{:>5}{:>5}{:>5}{:>5}{:>5}{:>7}{:>7}{:>6}",
        "", "", "rows", "N", "A", "P", "B", "appl.", "n/a", "open"
    );
    let mut totals = [0; 8];
    for section in sections {
        let counts = counts(&section.list);
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        let number = section.file.split('-').next().unwrap_or_default();
        line(number, &section.title, counts);
    }
    line("", "total", totals);
}

fn line(number: &str, title: &str, [rows, n, a, p, b, application, reason, open]: [usize; 8]) {
    println!("{number:<4}{title:<52}{rows:>5}{n:>5}{a:>5}{p:>5}{b:>5}{application:>7}{reason:>7}{open:>6}");
}

fn counts(rows: &[Row]) -> [usize; 8] {
    let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let [n, a, p, b] = KINDS.map(|(kind, _)| count(&|row| row.kind.contains(kind)));
    let elsewhere: [&dyn Fn(&Row) -> bool; 3] =
        [&|row| row.application.is_some(), &|row| row.reason.is_some(), &|row| row.open.is_some()];
    let [application, reason, open] = elsewhere.map(count);
    [rows.len(), n, a, p, b, application, reason, open]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        toml::from_str::<Row>(text).unwrap().faults()
    }

    #[test]
    fn a_row_needs_code_and_a_test_of_each_of_its_kinds_or_says_why_not() {
        let row = "id = 'C001'\nsection = '1'\ntext = 'a duty'\nkind = 'NA'\n";
        let with = |more: &str| faults(&format!("{row}{more}"));
        let whole = "code = ['a.rs: b']\nrefuses = ['a b']\nguards = ['a c']\n";
        assert_eq!(with(whole), [""; 0]);
        assert_eq!(with(""), ["no code carries it", "no test refuses (kind N)", "no test guards (kind A)"]);
        assert_eq!(with("code = ['a.rs: b']\nguards = ['a c']"), ["no test refuses (kind N)"]);
        assert_eq!(with(&format!("{whole}accepts = ['a d']")), [""; 0]);
        assert_eq!(with("reason = 'there is no such thing'"), [""; 0]);
        assert_eq!(with("application = 'does it'"), [""; 0]);
        assert_eq!(with("open = 'nobody has looked'"), ["open: nobody has looked"]);
    }

    #[test]
    fn a_refusal_counts_where_its_test_passed_and_an_error_named_the_row() {
        let test = "hushwood-codec writer::tests::vectors_and_options_decode_to_themselves";
        let row = Row {
            id: "C001".into(),
            section: "1".into(),
            kind: "N".into(),
            text: "a duty".into(),
            code: vec!["crates/hushwood-codec/src/reader.rs: nobody".into()],
            refuses: vec![test.into()],
            ..Row::default()
        };
        let places = Places::read().unwrap();
        let faults = |passed: &[bool], rows: &[&str]| {
            let evidence = Evidence {
                tests: passed.iter().map(|passed| (test.to_owned(), *passed)).collect(),
                rows: [(test.to_owned(), rows.iter().map(|row| (*row).to_owned()).collect())].into(),
            };
            faults_of(&row, &places, Some(&evidence))
        };
        let code = "crates/hushwood-codec/src/reader.rs defines no nobody".to_owned();
        let silent = format!("no error names it in {test}");
        assert_eq!(faults(&[true], &["C001"]), std::slice::from_ref(&code));
        assert_eq!(faults(&[true], &["C002"]), [code.clone(), silent.clone()]);
        assert_eq!(faults(&[false], &["C001"]), [code.clone(), format!("failed: {test}")]);
        assert_eq!(faults(&[], &[]), [code, format!("did not run: {test}"), silent]);
        let elsewhere = Row { refuses: vec!["hushwood-codec writer::tests::nothing".into()], ..row };
        assert!(
            faults_of(&elsewhere, &places, None).iter().any(|fault| fault.starts_with("there is no test"))
        );
    }

    #[test]
    fn every_section_of_the_map_can_be_read() {
        let sections = map::read(&run::root().join(FOLDER)).unwrap();
        assert!(rows(&sections).count() > 300);
    }
}
