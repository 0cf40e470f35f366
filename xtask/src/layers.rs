//! The order of the protocol's modules: each file names only files of its own layer and of those before it.

use anyhow::Result;

use crate::run;
use crate::sources::{Sources, Use};

/// The layers, each with the files of `crates/hushwood/src` that are in it: a file, or a folder with all in it
/// that no other layer names. A file belongs to the longest name that fits.
///
/// The wire structures come one by one, in the order that they contain one another; then behaviour.
const ORDER: [(&str, &[&str]); 29] = [
    ("error", &["error/"]),
    ("parallel", &["parallel.rs"]),
    ("version", &["version.rs"]),
    ("unverified", &["unverified.rs"]),
    ("proposal code points", &["proposal/proposal_type.rs"]),
    ("policy", &["policy.rs"]),
    ("tree index", &["tree/index.rs"]),
    ("credential", &["credential/"]),
    ("extension", &["extension/"]),
    ("grease", &["grease.rs"]),
    ("tree types", &["tree/leaf_node.rs", "tree/node.rs", "tree/update_path.rs"]),
    ("schedule types", &["schedule/group_context.rs", "schedule/pre_shared_key.rs", "schedule/types.rs"]),
    ("key_package types", &["key_package/types.rs"]),
    ("proposal types", &["proposal/types.rs"]),
    ("commit types", &["commit/types.rs"]),
    ("welcome types", &["welcome/types.rs"]),
    ("framing", &["framing/"]),
    ("tree", &["tree/"]),
    ("schedule", &["schedule/"]),
    ("secret_tree", &["secret_tree/"]),
    ("key_package", &["key_package/"]),
    ("proposal", &["proposal/"]),
    ("commit", &["commit/"]),
    ("welcome", &["welcome/"]),
    ("transition", &["transition/"]),
    ("group", &["group/"]),
    ("public_group", &["public_group/"]),
    ("manual", &["manual/"]),
    ("the crate's face", &["lib.rs"]),
];

/// What the order alone would allow: who, whom, and why not.
const APART: [(&str, &str, &str); 2] = [
    ("tree/", "proposal/types.rs", "the tree never sees a proposal"),
    ("schedule/", "tree/", "the schedule never sees a tree"),
];

/// No I/O, no clock, no threads in the protocol. Threads are for the file of the feature `parallel` alone.
const OUTSIDE: [&str; 7] = ["env", "fs", "io", "net", "process", "thread", "time"];
const PARALLEL: &str = "parallel.rs";

/// The protocol crates, which do no I/O.
pub(crate) const PURE: [&str; 3] = ["hushwood", "hushwood-codec", "hushwood-crypto"];

/// `cargo xtask layers`.
pub(crate) fn layers() -> Result<bool> {
    let mut faults = Vec::new();
    for name in PURE {
        let src = format!("crates/{name}/src");
        let sources = Sources::read(&run::root().join(&src))?;
        let mut found = outside(&sources);
        if name == "hushwood" {
            found.extend(out_of_order(&sources));
        }
        faults.extend(found.into_iter().map(|fault| format!("{src}/{fault}")));
    }
    for fault in &faults {
        println!("{fault}");
    }
    println!("layers: {} faults", faults.len());
    Ok(faults.is_empty())
}

fn out_of_order(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, uses) in sources.files() {
        let Some(own) = layer(file) else {
            faults.push(format!("{file}: is in no layer: give it a place in ORDER in xtask/src/layers.rs"));
            continue;
        };
        for Use { line, path } in uses {
            let Some(named) = sources.resolve(path) else { continue };
            let Some(other) = layer(named) else { continue };
            let path = path.join("::");
            if other > own {
                let (own, other) = (name(own), name(other));
                faults.push(format!(
                    "{file}:{line}: {path} ({named}) is of `{other}`, which comes after `{own}`"
                ));
            }
            let apart =
                |(who, whom, _): &&(&str, &str, &str)| file.starts_with(who) && named.starts_with(whom);
            if let Some((_, _, why)) = APART.iter().find(apart) {
                faults.push(format!("{file}:{line}: {path} ({named}): {why}"));
            }
        }
    }
    faults
}

fn outside(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, uses) in sources.files() {
        for Use { line, path } in uses {
            let [first, second, ..] = path.as_slice() else { continue };
            let allowed = file.ends_with(PARALLEL) && second == "thread";
            if first == "std" && OUTSIDE.contains(&second.as_str()) && !allowed {
                let path = path.join("::");
                faults.push(format!(
                    "{file}:{line}: {path}: the protocol has no I/O, clock or threads of its own"
                ));
            }
        }
    }
    faults
}

fn layer(file: &str) -> Option<usize> {
    let fits = |(place, (_, names)): (usize, &(&str, &[&str]))| {
        let longest = names.iter().filter(|name| file.starts_with(**name)).map(|name| name.len()).max();
        longest.map(|length| (length, place))
    };
    ORDER.iter().enumerate().filter_map(fits).max().map(|(_, place)| place)
}

fn name(layer: usize) -> &'static str {
    ORDER.get(layer).map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let common = [
            ("lib.rs", "pub mod tree; pub mod error; pub use hushwood_codec as codec; pub use group::Group;"),
            ("error/mod.rs", "mod row; pub use row::Row; pub enum Error {}"),
            ("error/row.rs", "pub struct Row;"),
            (
                "tree/mod.rs",
                "pub mod index; pub mod tree_hash; pub use index::{LeafIndex, NodeIndex as Node}; pub use tree_hash::*;",
            ),
            ("tree/index.rs", "pub struct LeafIndex; pub struct NodeIndex;"),
            ("tree/tree_hash.rs", "pub fn hash() {}"),
            (
                "proposal/mod.rs",
                "pub mod types; pub mod list; pub use types::Proposal; pub use list::ProposalList;",
            ),
            ("proposal/types.rs", "wire! { pub struct Proposal {} }"),
            ("proposal/list.rs", "pub struct ProposalList;"),
            ("group/mod.rs", "pub struct Group;"),
        ];
        let given = files
            .iter()
            .chain(common.iter().filter(|(file, _)| files.iter().all(|(given, _)| given != file)));
        let given = given.map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        let sources = Sources::of(given).unwrap();
        [out_of_order(&sources), outside(&sources)].concat()
    }

    #[test]
    fn names_to_the_left_are_allowed() {
        let good = "use std::fmt;\nuse hushwood_crypto::Secret;\nuse crate::codec::Reader;\nuse crate::error::{Error, Row};
            use crate::tree::{LeafIndex, index, tree_hash};\nuse super::list::ProposalList;\nfn f() { crate::tree::hash() }";
        assert_eq!(faults(&[("proposal/apply.rs", good)]), [""; 0]);
    }

    #[test]
    fn a_type_re_exported_by_a_later_module_counts_where_it_is_written() {
        assert_eq!(
            faults(&[("framing/types.rs", "use crate::tree::LeafIndex; use crate::proposal::Proposal;")]),
            [""; 0]
        );
        let bad = faults(&[(
            "framing/types.rs",
            "\nuse crate::{\n    proposal::ProposalList,\n    tree::{LeafIndex, hash},\n};",
        )]);
        assert_eq!(
            bad,
            [
                "framing/types.rs:3: crate::proposal::ProposalList (proposal/list.rs) is of `proposal`, which comes after `framing`",
                "framing/types.rs:4: crate::tree::hash (tree/tree_hash.rs) is of `tree`, which comes after `framing`",
            ]
        );
    }

    #[test]
    fn names_to_the_right_are_found_wherever_they_stand() {
        for bad in [
            "use crate::group::Group;",
            "use crate::Group;",
            "use crate::group;",
            "use crate::group::*;",
            "use super::super::group::Group;",
            "fn f(group: &crate::group::Group) {}",
            "wire! { pub struct X { pub group: crate::group::Group } }",
            "macro_rules! m { () => { $crate::group::Group } }",
            "mod inner { use super::super::super::group::Group; }",
            "#[cfg(not(test))] use crate::group::Group;",
        ] {
            let found = faults(&[("tree/tree_hash.rs", bad)]);
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert!(found[0].contains("(group/mod.rs) is of `group`, which comes after `tree`"), "{found:?}");
        }
    }

    #[test]
    fn the_tree_sees_no_proposal_and_the_schedule_no_tree() {
        let found = faults(&[("tree/evolution.rs", "use crate::proposal::Proposal;")]);
        assert_eq!(
            found,
            [
                "tree/evolution.rs:1: crate::proposal::Proposal (proposal/types.rs): the tree never sees a proposal"
            ]
        );
        let found = faults(&[("schedule/epoch.rs", "use crate::tree::Node;")]);
        assert_eq!(
            found,
            ["schedule/epoch.rs:1: crate::tree::Node (tree/index.rs): the schedule never sees a tree"]
        );
    }

    #[test]
    fn tests_may_name_anything() {
        let tests =
            "#[cfg(test)]\nmod tests { use crate::group::Group; use std::fs; }\n#[cfg(test)]\nmod more;";
        assert_eq!(
            faults(&[("tree/tree_hash.rs", tests), ("tree/tree_hash/more.rs", "use crate::group::Group;")]),
            [""; 0]
        );
    }

    #[test]
    fn comments_and_texts_name_nothing() {
        let text =
            "//! [`crate::group::Group`]\n/* use crate::group::Group; */ const S: &str = \"crate::group\";";
        assert_eq!(faults(&[("tree/tree_hash.rs", text)]), [""; 0]);
    }

    #[test]
    fn a_file_without_a_layer_is_a_fault() {
        let found = faults(&[("helper.rs", "")]);
        assert_eq!(found, ["helper.rs: is in no layer: give it a place in ORDER in xtask/src/layers.rs"]);
    }

    #[test]
    fn input_output_and_clocks_are_found() {
        for bad in ["use std::{fmt, fs::File};", "fn f() { std::time::Instant::now(); }", "use std::thread;"]
        {
            assert_eq!(faults(&[("tree/evolution.rs", bad)]).len(), 1, "{bad}");
        }
        assert_eq!(faults(&[("tree/parallel.rs", "use std::thread;")]), [""; 0]);
    }
}
