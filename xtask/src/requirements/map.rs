//! The files of `spec/`: every row with the code that carries it and the tests that show it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A file of `spec/`: a section of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    #[serde(skip)]
    pub(crate) file: String,
    /// What the rows are about.
    pub(crate) title: String,
    /// How many rows there are, so that none is lost unnoticed.
    pub(crate) rows: usize,
    #[serde(default, rename = "row")]
    pub(crate) list: Vec<Row>,
}

/// A row of the list: a duty, and what became of it. README.md beside the files says what each field means.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Of the document that the row is from.
    pub(crate) section: String,
    /// Letters of [`KINDS`].
    pub(crate) kind: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) code: Vec<String>,
    #[serde(default)]
    pub(crate) refuses: Vec<String>,
    #[serde(default)]
    pub(crate) guards: Vec<String>,
    #[serde(default)]
    pub(crate) accepts: Vec<String>,
    #[serde(default)]
    pub(crate) property: Vec<String>,
    /// What an application or operator has to do, where this is nothing that our code could do for them.
    pub(crate) application: Option<String>,
    /// Why the row does not apply.
    pub(crate) reason: Option<String>,
    /// What is missing.
    pub(crate) open: Option<String>,
}

/// The kinds of rows, each with the name of its tests.
pub(crate) const KINDS: [(char, &str); 4] =
    [('N', "refuses"), ('A', "guards"), ('P', "accepts"), ('B', "property")];

impl Row {
    /// The tests of a kind.
    pub(crate) fn tests(&self, kind: char) -> &[String] {
        match kind {
            'N' => &self.refuses,
            'A' => &self.guards,
            'P' => &self.accepts,
            _ => &self.property,
        }
    }

    pub(crate) fn all_tests(&self) -> impl Iterator<Item = &String> {
        KINDS.iter().flat_map(|(kind, _)| self.tests(*kind))
    }

    /// What is wrong with the row by itself.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let known = |letter| KINDS.iter().any(|(kind, _)| *kind == letter);
        if self.kind.is_empty() || !self.kind.chars().all(known) {
            faults.push(format!("the kind {:?} is not made of N, A, P and B", self.kind));
        }
        for (field, text) in [("section", &self.section), ("text", &self.text)] {
            if text.trim().is_empty() {
                faults.push(format!("it has no {field}"));
            }
        }
        if let Some(open) = &self.open {
            faults.push(format!("open: {open}"));
            return faults;
        }
        let elsewhere = [&self.application, &self.reason].into_iter().flatten().count();
        match elsewhere {
            0 if self.code.is_empty() => faults.push("no code carries it".into()),
            0 | 1 => (),
            _ => faults.push("it is the application's or does not apply, not both".into()),
        }
        for (kind, name) in KINDS {
            // Tests of other kinds are welcome as well.
            if elsewhere == 0 && self.kind.contains(kind) && self.tests(kind).is_empty() {
                faults.push(format!("no test {name} (kind {kind})"));
            }
        }
        faults
    }
}

/// Reads all sections, in the order of their file names.
pub(crate) fn read(folder: &Path) -> Result<Vec<Section>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            files.push(name);
        }
    }
    if files.is_empty() {
        bail!("{}: no sections", folder.display());
    }
    files.sort();
    files.into_iter().map(|file| section(folder, file)).collect()
}

fn section(folder: &Path, file: String) -> Result<Section> {
    let text = fs::read_to_string(folder.join(&file)).with_context(|| file.clone())?;
    let section: Section = toml::from_str(&text).with_context(|| file.clone())?;
    Ok(Section { file, ..section })
}
