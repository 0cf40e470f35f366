//! What ARCHITECTURE.md lists: the sections with their files, made from the first sentence of each file, and the
//! dependencies of the protocol crates.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{layers, run, sources};

/// What to do with the table.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the table into ARCHITECTURE.md
    #[arg(long)]
    write: bool,
}

const DOCUMENT: &str = "ARCHITECTURE.md";
const SOURCES: &str = "crates/hushwood/src";
const BEGIN: &str = "<!-- sections: written by `cargo xtask sections --write` -->\n";
const END: &str = "<!-- end of sections -->";

/// `cargo xtask sections`.
pub(crate) fn sections(args: &Args) -> Result<bool> {
    if !args.write {
        return check();
    }
    let document = run::root().join(DOCUMENT);
    let text = fs::read_to_string(&document).context(DOCUMENT)?;
    let (before, _, after) = parts(&text)?;
    fs::write(&document, format!("{before}{}{after}", table(&run::root().join(SOURCES))?))
        .context(DOCUMENT)?;
    Ok(true)
}

/// Each file of the protocol is in the table, and nothing else is; each dependency has its reason.
pub(crate) fn check() -> Result<bool> {
    let text = fs::read_to_string(run::root().join(DOCUMENT)).context(DOCUMENT)?;
    let unexplained = unexplained(&text)?;
    for dependency in &unexplained {
        println!("{DOCUMENT}: no reason is given for the dependency {dependency} of a protocol crate");
    }
    let (_, written, _) = parts(&text)?;
    let table = table(&run::root().join(SOURCES))?;
    let is_in = |text: &str, line: &&str| text.lines().any(|other| other == *line);
    for line in table.lines().filter(|line| !is_in(written, line)) {
        println!("{DOCUMENT}: missing: {line}");
    }
    for line in written.lines().filter(|line| !is_in(&table, line)) {
        println!("{DOCUMENT}: no longer true: {line}");
    }
    if written != table {
        println!("{DOCUMENT}: `cargo xtask sections --write` writes the table anew");
    }
    Ok(written == table && unexplained.is_empty())
}

/// Dependencies of the protocol crates, other than on one another, that the document does not list.
fn unexplained(text: &str) -> Result<Vec<String>> {
    let listed = |name: &str| text.lines().any(|line| line.starts_with(&format!("| `{name}` |")));
    let mut found = Vec::new();
    for package in run::members()? {
        let is_protocol = run::text(&package, "name").is_some_and(|name| layers::PURE.contains(&name));
        let dependencies = package.get("dependencies").and_then(Value::as_array).filter(|_| is_protocol);
        // Those for tests and builds have a kind.
        let normal =
            dependencies.into_iter().flatten().filter(|dependency| run::text(dependency, "kind").is_none());
        let names = normal.filter_map(|dependency| run::text(dependency, "name"));
        found.extend(names.filter(|name| !layers::PURE.contains(name) && !listed(name)).map(str::to_owned));
    }
    Ok(found)
}

fn parts(text: &str) -> Result<(&str, &str, &str)> {
    let begin = text.find(BEGIN).with_context(|| format!("{DOCUMENT} has no line {BEGIN}"))? + BEGIN.len();
    let (before, rest) = text.split_at(begin);
    let end = rest.find(END).with_context(|| format!("{DOCUMENT} has no line {END}"))?;
    let (table, after) = rest.split_at(end);
    Ok((before, table, after))
}

fn table(src: &Path) -> Result<String> {
    let mut rows = Vec::new();
    for file in sources::files(src)? {
        let text = fs::read_to_string(src.join(&file)).with_context(|| file.clone())?;
        rows.push(Row::of(&file, &text)?);
    }
    rows.sort_by(|one, other| (&one.place, &one.file).cmp(&(&other.place, &other.file)));
    let header = "| RFC 9420 | file | what |\n|---|---|---|\n".to_owned();
    let rows =
        rows.iter().map(|Row { sections, file, what, .. }| format!("| {sections} | `{file}` | {what} |\n"));
    Ok(header + &rows.collect::<String>())
}

struct Row {
    /// Where it stands: numbered sections in their order, appendices, then files of no section.
    place: (u8, Vec<u32>),
    sections: String,
    file: String,
    what: String,
}

impl Row {
    /// From `//! RFC 9420 §7.9: parent hashes.`, or `//! What it is.`
    fn of(file: &str, text: &str) -> Result<Self> {
        let lines: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        let paragraph = lines.join(" ");
        let first = paragraph.split_once(". ").map_or(paragraph.as_str(), |(sentence, _)| sentence);
        if first.is_empty() {
            bail!("{SOURCES}/{file}: the first line says nothing (//! RFC 9420 §7.9: parent hashes.)");
        }
        let (sections, what) = match first.strip_prefix("RFC 9420 ").and_then(|rest| rest.split_once(": ")) {
            Some((sections, what)) => (sections, what),
            None => ("", first),
        };
        let numbers =
            sections.split(['§', ',', ' ']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let place = match numbers {
            Some(numbers) => (0, numbers.split('.').filter_map(|number| number.parse().ok()).collect()),
            None if sections.is_empty() => (2, Vec::new()),
            None => (1, Vec::new()),
        };
        let what = what.trim_end_matches(['.', ':']).to_owned();
        Ok(Self { place, sections: sections.to_owned(), file: file.to_owned(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_sections() {
        let rows = [
            ("policy.rs", "//! What an application\n//! allows. And more.\n//!\n//! And more still.\n"),
            ("tree/index.rs", "//! RFC 9420 Appendix C: positions in the tree.\n"),
            ("welcome/mod.rs", "//! RFC 9420 §12.4.3: adding members to the group.\n"),
            ("tree/mod.rs", "//! RFC 9420 §4, §7: the ratchet tree.\n"),
        ];
        let mut rows = rows.map(|(file, text)| Row::of(file, text).unwrap());
        rows.sort_by(|one, other| one.place.cmp(&other.place));
        let found = rows.each_ref().map(|row| (row.sections.as_str(), row.file.as_str(), row.what.as_str()));
        assert_eq!(
            found,
            [
                ("§4, §7", "tree/mod.rs", "the ratchet tree"),
                ("§12.4.3", "welcome/mod.rs", "adding members to the group"),
                ("Appendix C", "tree/index.rs", "positions in the tree"),
                ("", "policy.rs", "What an application allows"),
            ]
        );
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_a_fault() {
        assert!(Row::of("tree/mod.rs", "use std::fmt;\n").is_err());
    }
}
