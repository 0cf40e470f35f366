//! Whether the code and the tests that a row names are in the sources, and which rows the sources name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

use crate::{run, sources};

/// The files of the crates.
pub(crate) struct Places {
    files: BTreeMap<String, File>,
    /// Test functions, as the package and their own name.
    tests: BTreeSet<(String, String)>,
    /// Rows that the sources cite, each with one file that does.
    pub(crate) cited: BTreeMap<String, String>,
}

#[derive(Default)]
struct File {
    /// What the file defines.
    names: BTreeSet<String>,
    /// What it cites.
    rows: BTreeSet<String>,
}

/// What stands before the name of an item.
const KEYWORDS: [&str; 10] =
    ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "union", "macro_rules"];
const FOLDERS: [&str; 4] = ["crates", "crash", "sim", "test-support"];

impl Places {
    pub(crate) fn read() -> Result<Self> {
        let mut places = Self { files: BTreeMap::new(), tests: BTreeSet::new(), cited: BTreeMap::new() };
        let root = run::root();
        for folder in FOLDERS {
            for file in sources::files(&root.join(folder))? {
                places.add(&root, format!("{folder}/{file}"))?;
            }
        }
        Ok(places)
    }

    fn add(&mut self, root: &Path, file: String) -> Result<()> {
        let text = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
        let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{file}: {error}"))?;
        let mut read = File { rows: rows(&text), ..File::default() };
        defined(tokens, &mut read.names);
        for test in test_names(&text) {
            self.tests.insert((package(&file), test));
        }
        for row in &read.rows {
            self.cited.entry(row.clone()).or_insert_with(|| file.clone());
        }
        self.files.insert(file, read);
        Ok(())
    }

    /// What is wrong with a place such as `crates/hushwood/src/tree/parent_hash.rs: verify_below`.
    pub(crate) fn fault_of_code(&self, place: &str) -> Option<String> {
        let Some((file, name)) = place.split_once(": ") else {
            return Some(format!("{place}: not a file, a colon and a name"));
        };
        match self.files.get(file) {
            None => Some(format!("{file}: there is no such file")),
            Some(read) if !read.names.contains(name) => Some(format!("{file} defines no {name}")),
            Some(_) => None,
        }
    }

    /// True if the file of this place cites the row.
    pub(crate) fn cites(&self, place: &str, row: &str) -> bool {
        let file = place.split_once(": ").and_then(|(file, _)| self.files.get(file));
        file.is_some_and(|read| read.rows.contains(row))
    }

    /// True if the sources have a test such as `hushwood::late own_messages_are_told_from_those_of_others`.
    pub(crate) fn has_test(&self, test: &str) -> bool {
        let Some((binary, path)) = test.split_once(' ') else { return false };
        let package = binary.split("::").next().unwrap_or(binary);
        let name = path.rsplit("::").next().unwrap_or(path);
        self.tests.contains(&(package.to_owned(), name.to_owned()))
    }
}

/// The package that a file belongs to: its folder is called like it.
fn package(file: &str) -> String {
    let mut parts = file.split('/');
    let first = parts.next().unwrap_or_default();
    let package = if first == "crates" { parts.next().unwrap_or_default() } else { first };
    package.to_owned()
}

fn defined(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let mut expected = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                if expected {
                    names.insert(word.clone());
                }
                expected = KEYWORDS.contains(&word.as_str());
            }
            // `macro_rules! name`.
            TokenTree::Punct(punct) if punct.as_char() == '!' => (),
            TokenTree::Group(group) => {
                expected = false;
                defined(group.stream(), names);
            }
            _ => expected = false,
        }
    }
}

/// The tests in a file. Where a macro makes tests of functions, those are all functions of its file: which of them it is given
/// only a run tells.
fn test_names(text: &str) -> Vec<String> {
    let (mut tests, mut functions) = (Vec::new(), Vec::new());
    let (mut is_test, mut by_macro) = (false, false);
    for line in text.lines().map(str::trim) {
        let line = line.strip_prefix("$( #[test] ").inspect(|_| is_test = true).unwrap_or(line);
        let function = line.strip_prefix("pub(crate) ").unwrap_or(line);
        match function.strip_prefix("async ").unwrap_or(function).strip_prefix("fn ") {
            Some(rest) => {
                let name = rest.split(['(', '<']).next().unwrap_or_default().to_owned();
                by_macro |= is_test && name.starts_with('$');
                if std::mem::take(&mut is_test) {
                    tests.push(name.clone());
                }
                functions.push(name);
            }
            None => is_test |= line == "#[test]" || line.starts_with("#[tokio::test"),
        }
    }
    if by_macro { functions } else { tests }
}

/// Every `C001` and `A001` in a text.
pub(super) fn rows(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_row = |word: &&str| {
        let digits = word.strip_prefix(['A', 'C']).unwrap_or_default();
        digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    words.filter(is_row).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_tests_and_rows_are_found() {
        let text = "/// C001, C002.\npub(crate) const fn one() { fn inner() {} }\nmacro_rules! two { () => {} }\n\
                    #[test]\n#[ignore]\nfn three() { \"C003\"; }\nimpl Four { const FIVE: u8 = 0x00C0; }";
        let mut names = BTreeSet::new();
        defined(text.parse().unwrap(), &mut names);
        let want = ["FIVE", "fn", "inner", "one", "three", "two"];
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), want);
        assert_eq!(test_names(text), ["three"]);
        assert_eq!(rows(text).into_iter().collect::<Vec<_>>(), ["C001", "C002", "C003"]);
        let text = "#[tokio::test(flavor = \"multi_thread\")]\nasync fn one() {}\nfn two() {}";
        assert_eq!(test_names(text), ["one"]);
        let text = "#[tokio::test]\nasync fn $name() {}\npub(crate) async fn three(all: &All) {}";
        assert_eq!(test_names(text), ["$name", "three"]);
        let text = "$( #[test] fn $test() {} )*\nfn four<F: Fixture>(mut fixture: F) {}";
        assert_eq!(test_names(text), ["$test", "four"]);
    }
}
