//! The modules of a crate: which paths each file names, and in which file a path ends.
//!
//! Works on tokens, so that what macros are given counts as well. Items under `#[cfg(test)]` do not
//! count: tests may look at anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, iter};

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// The files of a crate by their module path.
pub(crate) struct Sources {
    modules: BTreeMap<Vec<String>, Module>,
    test_only: BTreeSet<Vec<String>>,
}

struct Module {
    file: String,
    uses: Vec<Use>,
    /// Names brought in by `use`, with where they come from; `*` for all that a module has.
    imports: Vec<(String, Vec<String>)>,
    items: BTreeSet<String>,
}

/// A path that a file names.
pub(crate) struct Use {
    pub(crate) line: usize,
    /// From the root of the crate, which is `crate`; or from another crate.
    pub(crate) path: Vec<String>,
}

impl Sources {
    /// Reads the files of a crate, given its `src`.
    pub(crate) fn read(src: &Path) -> Result<Self> {
        let files = files(src)?.into_iter().map(|file| {
            let text = fs::read_to_string(src.join(&file)).with_context(|| file.clone())?;
            Ok((file, text))
        });
        Self::of(files.collect::<Result<Vec<_>>>()?)
    }

    /// The same from file names, relative to `src`, and texts.
    pub(crate) fn of(files: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut sources = Self { modules: BTreeMap::new(), test_only: BTreeSet::new() };
        for (file, text) in files {
            let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{file}: {error}"))?;
            let path = module_path(&file);
            let module = Module { file, uses: Vec::new(), imports: Vec::new(), items: BTreeSet::new() };
            let mut reader = Reader { module, inside: path.clone(), test_only: &mut sources.test_only };
            reader.tokens(tokens);
            let module = reader.module;
            sources.modules.insert(path, module);
        }
        Ok(sources)
    }

    /// Each file, relative to `src`, with the paths that it names outside of its tests.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &[Use])> {
        let own = self.modules.iter().filter(|(path, _)| !self.is_test_only(path));
        own.map(|(_, module)| (module.file.as_str(), module.uses.as_slice()))
    }

    /// The file where a path ends, followed through re-exports; `None` outside of the crate's modules.
    pub(crate) fn resolve(&self, path: &[String]) -> Option<&str> {
        self.follow(path, 16).filter(|file| *file != "lib.rs")
    }

    fn follow(&self, path: &[String], hops: usize) -> Option<&str> {
        let (first, names) = path.split_first()?;
        if first != "crate" {
            return None;
        }
        let mut at = Vec::new();
        let mut module = self.modules.get(&at)?;
        let mut names = names.iter();
        while let Some(name) = names.next() {
            at.push(name.clone());
            if let Some(inner) = self.modules.get(&at) {
                module = inner;
                continue;
            }
            at.pop();
            let imported = |(as_name, from): &&(String, Vec<String>)| match as_name.as_str() {
                "*" => self.has(from, name),
                as_name => as_name == name,
            };
            if module.items.contains(name) || hops == 0 {
                break;
            }
            let Some((as_name, from)) = module.imports.iter().find(imported) else { break };
            let last = (as_name == "*").then_some(name);
            let onward: Vec<String> = from.iter().chain(last).chain(names).cloned().collect();
            return self.follow(&onward, hops - 1);
        }
        Some(&module.file)
    }

    fn has(&self, module: &[String], name: &str) -> bool {
        let module = module.get(1..).and_then(|path| self.modules.get(path));
        module.is_some_and(|module| {
            module.items.contains(name) || module.imports.iter().any(|(imported, _)| imported == name)
        })
    }

    fn is_test_only(&self, path: &[String]) -> bool {
        self.test_only.iter().any(|test| path.starts_with(test))
    }
}

/// The Rust files under a folder, relative to it, sorted.
pub(crate) fn files(src: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(src.join(&folder)).with_context(|| src.display().to_string())? {
            let entry = entry?;
            let name = format!("{folder}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(format!("{name}/"));
            } else if name.ends_with(".rs") {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn module_path(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

/// Walks over the tokens of a file.
struct Reader<'a> {
    module: Module,
    /// The module that the tokens are in: the file's, or one written inside of it.
    inside: Vec<String>,
    test_only: &'a mut BTreeSet<Vec<String>>,
}

/// Words that an item's name follows.
const ITEMS: [&str; 9] = ["const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type", "union"];

impl Reader<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((token, after)) = rest.split_first() {
            rest = match (token, after) {
                (TokenTree::Punct(hash), [TokenTree::Group(attribute), item @ ..])
                    if hash.as_char() == '#' && is_cfg_test(attribute) =>
                {
                    self.skip_item(item)
                }
                (TokenTree::Ident(word), [TokenTree::Ident(name), TokenTree::Group(body), after @ ..])
                    if word == "mod" && body.delimiter() == Delimiter::Brace =>
                {
                    self.inside.push(name.to_string());
                    self.tokens(body.stream());
                    self.inside.pop();
                    after
                }
                (TokenTree::Ident(word), _) if word == "use" => self.import(after),
                (TokenTree::Ident(word), _)
                    if ["crate", "self", "super", "std"].iter().any(|root| word == root) =>
                {
                    let (paths, after) = use_tree(&[], rest);
                    for path in paths.into_iter().filter(|path| path.names.len() > 1) {
                        self.note(&path);
                    }
                    after
                }
                (TokenTree::Ident(word), [TokenTree::Ident(name), ..])
                    if ITEMS.iter().any(|item| word == item) =>
                {
                    self.module.items.insert(name.to_string());
                    after
                }
                (TokenTree::Group(group), _) => {
                    self.tokens(group.stream());
                    after
                }
                _ => after,
            };
        }
    }

    /// An import: what it names, and under which names.
    fn import<'t>(&mut self, tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        let (paths, after) = use_tree(&[], tokens);
        for path in paths {
            let from = self.note(&path);
            let name = path.renamed.as_ref().or(path.names.last());
            // Names inside of a written-in module are not the file's.
            if let Some(name) = name.filter(|_| self.inside == module_path(&self.module.file)) {
                let from = from.into_iter().filter(|name| name != "*").collect();
                self.module.imports.push((name.clone(), from));
            }
        }
        after
    }

    /// Notes a path, and returns it from its root.
    fn note(&mut self, path: &NamedPath) -> Vec<String> {
        let inside = || iter::once("crate".to_owned()).chain(self.inside.iter().cloned());
        let supers = path.names.iter().take_while(|name| *name == "super").count();
        let from_root: Vec<String> = match path.names.first().map(String::as_str) {
            Some("self") => inside().chain(path.names.iter().skip(1).cloned()).collect(),
            Some("super") => {
                let above = self.inside.len().saturating_sub(supers);
                inside().take(above + 1).chain(path.names.iter().skip(supers).cloned()).collect()
            }
            Some("crate" | "std" | "core" | "alloc") | None => path.names.clone(),
            // A module of this one, as `pub use types::Commit`; or another crate, which resolves to nothing.
            Some(_) => inside().chain(path.names.iter().cloned()).collect(),
        };
        self.module.uses.push(Use { line: path.line, path: from_root.clone() });
        from_root
    }

    /// Passes over an item that is for tests only.
    fn skip_item<'t>(&mut self, item: &'t [TokenTree]) -> &'t [TokenTree] {
        let end = item.iter().position(|token| match token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        });
        let (item, after) = end.and_then(|end| item.split_at_checked(end + 1)).unwrap_or((item, &[]));
        for pair in item.windows(2) {
            if let [TokenTree::Ident(word), TokenTree::Ident(name)] = pair
                && word == "mod"
            {
                self.test_only.insert(self.inside.iter().cloned().chain([name.to_string()]).collect());
            }
        }
        after
    }
}

fn is_cfg_test(attribute: &Group) -> bool {
    attribute.delimiter() == Delimiter::Bracket
        && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

struct NamedPath {
    line: usize,
    names: Vec<String>,
    renamed: Option<String>,
}

/// Reads a path, which may branch: `a::{b, c::*}`. Returns what comes after it too.
fn use_tree<'t>(before: &[String], tokens: &'t [TokenTree]) -> (Vec<NamedPath>, &'t [TokenTree]) {
    let mut names = before.to_vec();
    let mut rest = tokens;
    let mut line = 0;
    loop {
        match rest {
            [TokenTree::Group(group), after @ ..] if group.delimiter() == Delimiter::Brace => {
                return (branches(&names, group), after);
            }
            [TokenTree::Punct(star), after @ ..] if star.as_char() == '*' => {
                names.push("*".to_owned());
                line = star.span().start().line;
                rest = after;
                break;
            }
            [TokenTree::Ident(name), after @ ..] => {
                line = name.span().start().line;
                push(&mut names, name);
                rest = after;
            }
            _ => break,
        }
        match rest {
            [TokenTree::Punct(one), TokenTree::Punct(two), after @ ..]
                if one.as_char() == ':' && two.as_char() == ':' =>
            {
                rest = after;
            }
            _ => break,
        }
    }
    let (renamed, rest) = match rest {
        [TokenTree::Ident(word), TokenTree::Ident(name), after @ ..] if word == "as" => {
            (Some(name.to_string()), after)
        }
        rest => (None, rest),
    };
    (vec![NamedPath { line, names, renamed }], rest)
}

fn branches(before: &[String], group: &Group) -> Vec<NamedPath> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',');
    let branches = tokens.split(is_comma).filter(|branch| !branch.is_empty());
    branches.flat_map(|branch| use_tree(before, branch).0).collect()
}

/// `a::{self}` is `a`.
fn push(names: &mut Vec<String>, name: &Ident) {
    if name != "self" || names.is_empty() {
        names.push(name.to_string());
    }
}
