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
    /// Where they are from.
    #[serde(default)]
    pub(crate) document: Document,
    /// How many rows there are, so that none is lost unnoticed.
    pub(crate) rows: usize,
    #[serde(default, rename = "row")]
    pub(crate) list: Vec<Row>,
}

/// What the rows of a section are from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) enum Document {
    /// The protocol: rows C..., each of kinds.
    #[default]
    #[serde(rename = "RFC 9420")]
    Protocol,
    /// The architecture: rows A..., in prose, which have no kinds.
    #[serde(rename = "RFC 9750")]
    Architecture,
}

impl Document {
    /// What the ids of its rows begin with.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Protocol => 'C',
            Self::Architecture => 'A',
        }
    }
}

/// A row of the list: a duty, and what became of it. README.md beside the files says what each field means.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Of the document that the row is from.
    pub(crate) section: String,
    /// Letters of [`KINDS`]; none in RFC 9750.
    #[serde(default)]
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
    /// In RFC 9750, where there are no kinds.
    #[serde(default)]
    pub(crate) tests: Vec<String>,
    /// What an application has to do, where this is nothing that our code could do for it.
    pub(crate) application: Option<String>,
    /// The same of whoever runs a service.
    pub(crate) operator: Option<String>,
    /// Why the row does not apply.
    pub(crate) reason: Option<String>,
    /// What is not there and known not to be, in RFC 9750. It is printed.
    pub(crate) missing: Option<String>,
    /// What is not done yet.
    pub(crate) open: Option<String>,
}

/// The kinds of rows, each with the name of its tests.
pub(crate) const KINDS: [(char, &str); 4] =
    [('N', "refuses"), ('A', "guards"), ('P', "accepts"), ('B', "property")];

impl Row {
    /// The tests of a kind.
    pub(crate) fn of_kind(&self, kind: char) -> &[String] {
        match kind {
            'N' => &self.refuses,
            'A' => &self.guards,
            'P' => &self.accepts,
            _ => &self.property,
        }
    }

    pub(crate) fn all_tests(&self) -> impl Iterator<Item = &String> {
        KINDS.iter().flat_map(|(kind, _)| self.of_kind(*kind)).chain(&self.tests)
    }

    /// True if our code does it, or a part of it.
    pub(crate) fn is_carried(&self) -> bool {
        !self.code.is_empty() && self.all_tests().next().is_some()
    }

    /// True if an application or an operator has something to do or to know.
    pub(crate) fn is_left(&self) -> bool {
        self.application.is_some() || self.operator.is_some() || self.missing.is_some()
    }

    /// What is wrong with the row by itself.
    pub(crate) fn faults(&self, document: Document) -> Vec<String> {
        let mut faults = Vec::new();
        let digits = self.id.strip_prefix(document.letter()).unwrap_or_default();
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            faults.push(format!("its id is not {} and three digits", document.letter()));
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
        match document {
            Document::Protocol => self.protocol(&mut faults),
            Document::Architecture => self.architecture(&mut faults),
        }
        faults
    }

    /// A row of kinds: code and tests of each kind, or why not.
    fn protocol(&self, faults: &mut Vec<String>) {
        let known = |letter| KINDS.iter().any(|(kind, _)| *kind == letter);
        if self.kind.is_empty() || !self.kind.chars().all(known) {
            faults.push(format!("the kind {:?} is not made of N, A, P and B", self.kind));
        }
        if !self.tests.is_empty() || self.missing.is_some() {
            faults.push("tests without a kind, and what is missing, are for RFC 9750".into());
        }
        let elsewhere = [&self.application, &self.operator, &self.reason].into_iter().flatten().count();
        match elsewhere {
            0 if self.code.is_empty() => faults.push("no code carries it".into()),
            0 | 1 => (),
            _ => faults.push("it is the application's, or the operator's, or does not apply".into()),
        }
        for (kind, name) in KINDS {
            // Tests of other kinds are welcome as well.
            if elsewhere == 0 && self.kind.contains(kind) && self.of_kind(kind).is_empty() {
                faults.push(format!("no test {name} (kind {kind})"));
            }
        }
    }

    /// A row in prose: a part of it may be ours, and another part somebody else's.
    fn architecture(&self, faults: &mut Vec<String>) {
        if !self.kind.is_empty()
            || [&self.guards, &self.accepts, &self.property].iter().any(|of| !of.is_empty())
        {
            faults.push("rows of RFC 9750 have no kind, and tests or refuses".into());
        }
        match (self.code.is_empty(), self.all_tests().next().is_some()) {
            (true, true) => faults.push("no code carries it".into()),
            (false, false) => faults.push("no test shows it".into()),
            (true, false) | (false, true) => (),
        }
        match (self.is_carried() || self.is_left(), self.reason.is_some()) {
            (false, false) => faults.push("nobody does it, and there is no reason why".into()),
            (true, true) => faults.push("it applies, or it does not".into()),
            (true, false) | (false, true) => (),
        }
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
