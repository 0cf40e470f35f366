//! Every row of `spec/` has its code and its tests: the map, checked against the sources and against what ran.

mod evidence;
mod map;
mod places;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::evidence::Evidence;
use self::map::{Document, Row, Section};
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
/// What applications and operators have to do, for them.
const DUTIES: &str = "docs/application-duties.md";

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
        let of_row = faults_of((section.document, row), &places, evidence);
        faults.extend(of_row.into_iter().map(|fault| format!("{place}: {fault}")));
    }
    for (id, file) in &places.cited {
        if !ids.contains(id.as_str()) {
            faults.push(format!("{file} cites {id}, which is no row"));
        }
    }
    let told = places::rows(&fs::read_to_string(run::root().join(DUTIES)).context(DUTIES)?);
    faults.extend(untold(sections, &told));
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

/// What is left to others is told to them, and nothing else.
fn untold(sections: &[Section], told: &BTreeSet<String>) -> Vec<String> {
    let left = rows(sections).filter(|(_, row)| row.is_left()).map(|(_, row)| row.id.clone());
    let left: BTreeSet<String> = left.collect();
    let untold = left.difference(told).map(|id| format!("{DUTIES} does not say what {id} leaves to others"));
    let needless =
        told.difference(&left).map(|id| format!("{DUTIES} has {id}, which leaves nothing to others"));
    untold.chain(needless).collect()
}

fn faults_of((document, row): (Document, &Row), places: &Places, evidence: Option<&Evidence>) -> Vec<String> {
    let mut faults = row.faults(document);
    faults.extend(row.code.iter().filter_map(|place| places.fault_of_code(place)));
    // A check cites its row (CONTRIBUTING.md).
    let refuses = row.kind.contains('N') || row.kind.is_empty() && !row.refuses.is_empty();
    let is_check = refuses && !row.code.is_empty();
    if is_check && !row.code.iter().any(|place| places.cites(place, &row.id)) {
        faults.push("its code does not cite it".into());
    }
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

/// What is counted.
type Column = (&'static str, fn(&Row) -> bool);

const OF_PROTOCOL: &[Column] = &[
    ("rows", |_| true),
    ("N", |row| row.kind.contains('N')),
    ("A", |row| row.kind.contains('A')),
    ("P", |row| row.kind.contains('P')),
    ("B", |row| row.kind.contains('B')),
    ("appl.", |row| row.application.is_some() || row.operator.is_some()),
    ("n/a", |row| row.reason.is_some()),
    ("open", |row| row.open.is_some()),
];

/// A row may be in several: a part of it is ours, and a part somebody else's.
const OF_ARCHITECTURE: &[Column] = &[
    ("rows", |_| true),
    ("ours", Row::is_carried),
    ("appl.", |row| row.application.is_some()),
    ("oper.", |row| row.operator.is_some()),
    ("n/a", |row| row.reason.is_some()),
    ("missing", |row| row.missing.is_some()),
    ("open", |row| row.open.is_some()),
];

/// For each document a line for each section, and the totals; then what is missing.
fn print(sections: &[Section]) {
    for (name, document, columns) in
        [("RFC 9420", Document::Protocol, OF_PROTOCOL), ("RFC 9750", Document::Architecture, OF_ARCHITECTURE)]
    {
        let sections = || sections.iter().filter(move |section| section.document == document);
        let counts = |list: &[&Row]| -> String {
            let counts = columns.iter().map(|(_, is)| list.iter().filter(|row| is(row)).count());
            counts.map(|count| format!("{count:>8}")).collect()
        };
        let heads: String = columns.iter().map(|(head, _)| format!("{head:>8}")).collect();
        println!("{name:<56}{heads}");
        for section in sections() {
            let number = section.file.split('-').next().unwrap_or_default();
            println!("{number:<4}{:<52}{}", section.title, counts(&section.list.iter().collect::<Vec<_>>()));
        }
        let all: Vec<&Row> = sections().flat_map(|section| &section.list).collect();
        println!("{:<4}{:<52}{}\n", "", "total", counts(&all));
    }
    for (_, row) in rows(sections) {
        if let Some(missing) = &row.missing {
            println!("{} is missing: {missing}", row.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let row: Row = toml::from_str(text).unwrap();
        let document = if row.id.starts_with('A') { Document::Architecture } else { Document::Protocol };
        row.faults(document)
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
        assert_eq!(with(&format!("{whole}tests = ['a e']")).len(), 1);
    }

    #[test]
    fn a_row_in_prose_is_ours_or_somebody_elses_or_both_and_missing_is_said() {
        let row = "id = 'A001'\nsection = '4'\ntext = 'a duty'\n";
        let with = |more: &str| faults(&format!("{row}{more}"));
        let whole = "code = ['a.rs: b']\ntests = ['a b']\n";
        assert_eq!(with(whole), [""; 0]);
        assert_eq!(with(""), ["nobody does it, and there is no reason why"]);
        assert_eq!(with("tests = ['a b']\nmissing = 'half'"), ["no code carries it"]);
        assert_eq!(with("code = ['a.rs: b']\noperator = 'does it'"), ["no test shows it"]);
        assert_eq!(with(&format!("{whole}application = 'does the rest'")), [""; 0]);
        assert_eq!(with("missing = 'all of it'"), [""; 0]);
        assert_eq!(with("reason = 'there is no such thing'"), [""; 0]);
        assert_eq!(
            with(&format!("{whole}reason = 'there is no such thing'")),
            ["it applies, or it does not"]
        );
        assert_eq!(with(&format!("kind = 'B'\n{whole}")).len(), 1);
        let elsewhere: Row = toml::from_str(&format!("{row}{whole}")).unwrap();
        assert_eq!(elsewhere.faults(Document::Protocol)[0], "its id is not C and three digits");
    }

    #[test]
    fn what_is_left_to_others_is_told_to_them_and_nothing_else() {
        let section = "title = 'one'\ndocument = 'RFC 9750'\nrows = 2\n\
            [[row]]\nid = 'A001'\nsection = '4'\ntext = 'a'\napplication = 'does it'\n\
            [[row]]\nid = 'A002'\nsection = '4'\ntext = 'b'\nreason = 'none'\n";
        let sections = [toml::from_str::<Section>(section).unwrap()];
        let untold = |page: &str| untold(&sections, &places::rows(page));
        assert_eq!(untold("A001: do it."), [""; 0]);
        assert_eq!(
            untold("A002: no."),
            [
                format!("{DUTIES} does not say what A001 leaves to others"),
                format!("{DUTIES} has A002, which leaves nothing to others"),
            ]
        );
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
            faults_of((Document::Protocol, &row), &places, Some(&evidence))
        };
        let code = "crates/hushwood-codec/src/reader.rs defines no nobody".to_owned();
        let silent = format!("no error names it in {test}");
        assert_eq!(faults(&[true], &["C001"]), std::slice::from_ref(&code));
        assert_eq!(faults(&[true], &["C002"]), [code.clone(), silent.clone()]);
        assert_eq!(faults(&[false], &["C001"]), [code.clone(), format!("failed: {test}")]);
        assert_eq!(faults(&[], &[]), [code, format!("did not run: {test}"), silent]);
        let elsewhere = Row { refuses: vec!["hushwood-codec writer::tests::nothing".into()], ..row };
        assert!(
            faults_of((Document::Protocol, &elsewhere), &places, None)
                .iter()
                .any(|fault| fault.starts_with("there is no test"))
        );
    }

    #[test]
    fn every_section_of_the_map_can_be_read() {
        let sections = map::read(&run::root().join(FOLDER)).unwrap();
        assert!(rows(&sections).count() > 300);
    }
}
