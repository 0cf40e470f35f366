//! Which types of the library hold secrets, from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The crates that hold secrets of members.
const CRATES: [&str; 4] = ["hushwood-crypto", "hushwood", "hushwood-store", "hushwood-client"];

/// A type.
#[derive(Debug, Default)]
pub(crate) struct Type {
    /// Whether it can be printed.
    pub(crate) debug: bool,
    /// Whether others can name it, as far as the type itself says.
    pub(crate) public: bool,
    /// Whether it is an error.
    pub(crate) error: bool,
    /// The names in the types of its fields.
    pub(crate) fields: BTreeSet<String>,
}

/// By crate and name.
pub(crate) type Types = BTreeMap<(String, String), Type>;

/// All types of these crates, without those of tests.
pub(crate) fn types() -> Types {
    let mut types = Types::new();
    for name in CRATES {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(name).join("src");
        for file in files(&sources) {
            let source = fs::read_to_string(&file).unwrap();
            walk(name, TokenStream::from_str(&source).unwrap(), &mut types);
        }
    }
    types
}

/// Those that hold a secret in a field, or in a field of a field.
pub(crate) fn with_secrets(types: &Types) -> BTreeSet<(String, String)> {
    let mut holders = BTreeSet::from([("hushwood-crypto".to_owned(), "Secret".to_owned())]);
    loop {
        let more: Vec<_> = types
            .iter()
            .filter(|(place, of)| {
                !holders.contains(place)
                    && of.fields.iter().any(|field| {
                        field == "Zeroizing"
                            || resolve(types, &place.0, field).iter().any(|place| holders.contains(place))
                    })
            })
            .map(|(place, _)| place.clone())
            .collect();
        if more.is_empty() {
            return holders;
        }
        holders.extend(more);
    }
}

/// Where a name leads: to the crate's own type, or else to any other crate's.
fn resolve(types: &Types, from: &str, name: &str) -> Vec<(String, String)> {
    let own = (from.to_owned(), name.to_owned());
    if types.contains_key(&own) {
        return vec![own];
    }
    let all = CRATES.into_iter().map(|other| (other.to_owned(), name.to_owned()));
    all.filter(|place| types.contains_key(place)).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // Files of tests alone.
        if ["tests", "testing", "world", "oracle", "properties"].contains(&name) {
            continue;
        }
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false if path.extension().is_some_and(|end| end == "rs") => files.push(path),
            false => {}
        }
    }
    files
}

fn walk(name: &str, stream: TokenStream, types: &mut Types) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let word = |at: usize| match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => String::new(),
    };
    let mut attributes = String::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                attributes += &group.stream().to_string();
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => attributes.clear(),
            TokenTree::Group(group) => {
                let is_test =
                    attributes.replace(' ', "").contains("cfg(test)") && word(at.saturating_sub(2)) == "mod";
                if word(at.saturating_sub(2)) == "secret_types" {
                    newtypes(name, group, types);
                } else if !is_test {
                    walk(name, group.stream(), types);
                }
                attributes.clear();
            }
            TokenTree::Ident(ident) if ident == "struct" || ident == "enum" => {
                let Some(TokenTree::Ident(own)) = tokens.get(at + 1) else { continue };
                let body = tokens[at + 2..].iter().find_map(|token| match token {
                    TokenTree::Group(group) if group.delimiter() != Delimiter::Bracket => Some(Some(group)),
                    TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
                    _ => None,
                });
                let Some(Some(body)) = body else { continue };
                let entry = types.entry((name.to_owned(), own.to_string())).or_default();
                entry.debug |= attributes.contains("Debug");
                entry.public |= word(at.saturating_sub(1)) == "pub";
                fields(body, ident == "enum", &mut entry.fields);
            }
            TokenTree::Ident(ident) if ident == "Debug" || ident == "Error" => {
                // `impl fmt::Debug for Type`, `impl std::error::Error for Type`.
                if word(at + 1) == "for" && !word(at + 2).is_empty() {
                    let entry = types.entry((name.to_owned(), word(at + 2))).or_default();
                    entry.debug |= ident == "Debug";
                    entry.error |= ident == "Error";
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// The types that the macro of `schedule/types.rs` makes, which all hold one secret and print their name.
fn newtypes(name: &str, group: &Group, types: &mut Types) {
    for token in group.stream() {
        if let TokenTree::Ident(own) = token {
            let made = Type {
                debug: true,
                public: true,
                error: false,
                fields: BTreeSet::from(["Secret".to_owned()]),
            };
            types.insert((name.to_owned(), own.to_string()), made);
        }
    }
}

/// The names in a body that are not those of fields or variants.
fn fields(body: &Group, is_enum: bool, names: &mut BTreeSet<String>) {
    let tokens: Vec<_> = body.stream().into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) if !is_enum => {
                let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
                if !colon(at + 1) || colon(at + 2) {
                    names.insert(ident.to_string());
                }
            }
            // An attribute is none.
            TokenTree::Group(group) if !matches!(tokens.get(at.wrapping_sub(1)), Some(TokenTree::Punct(punct)) if punct.as_char() == '#') =>
            {
                fields(group, false, names);
            }
            TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
