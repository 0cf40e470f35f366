//! Whether the code and the tests that a row names are in the sources, and which rows the sources name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

use crate::{run, sources};

/// The files of the crates, with the names that each defines.
pub(crate) struct Places {
    files: BTreeMap<String, BTreeSet<String>>,
    /// Test functions, as the package and their own name.
    tests: BTreeSet<(String, String)>,
    /// Rows that the sources cite, each with one file that does.
    pub(crate) cited: BTreeMap<String, String>,
}

/// What stands before the name of an item.
const KEYWORDS: [&str; 10] =
    ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "union", "macro_rules"];
const FOLDERS: [&str; 2] = ["crates", "test-support"];

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
        let mut names = BTreeSet::new();
        defined(tokens, &mut names);
        for test in test_names(&text) {
            self.tests.insert((package(&file), test));
        }
        for row in rows(&text) {
            self.cited.entry(row).or_insert_with(|| file.clone());
        }
        self.files.insert(file, names);
        Ok(())
    }

    /// What is wrong with a place such as `crates/hushwood/src/tree/parent_hash.rs: verify_below`.
    pub(crate) fn fault_of_code(&self, place: &str) -> Option<String> {
        let Some((file, name)) = place.split_once(": ") else {
            return Some(format!("{place}: not a file, a colon and a name"));
        };
        match self.files.get(file) {
            None => Some(format!("{file}: there is no such file")),
            Some(names) if !names.contains(name) => Some(format!("{file} defines no {name}")),
            Some(_) => None,
        }
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

fn test_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("fn ") {
            Some(rest) if is_test => {
                names.extend(rest.split('(').next().map(str::to_owned));
                is_test = false;
            }
            Some(_) => (),
            None => is_test |= line == "#[test]",
        }
    }
    names
}

/// Every `C001` and `A001` in a text.
fn rows(text: &str) -> BTreeSet<String> {
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
    }
}
