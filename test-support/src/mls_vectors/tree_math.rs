//! `tree-math.json`: RFC 9420 Appendix C.

use hushwood::tree::NodeIndex;
use hushwood_crypto::CryptoProvider;
use serde::{Deserialize, Serialize};

use super::generator::to_json;
use super::{Checks, Generator};
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    n_leaves: u32,
    n_nodes: u32,
    root: u32,
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
    parent: Vec<Option<u32>>,
    sibling: Vec<Option<u32>>,
}

/// Runs the file. No cryptography is in it.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let mut row = Row::new("MLS tree-math", provider.name);
    let vectors: Vec<Vector> = serde_json::from_str(json).unwrap();
    for vector in &vectors {
        let leaves = vector.n_leaves;
        let mut checks = Checks { row: &mut row, which: format!("{leaves} leaves") };
        let root = NodeIndex::root(leaves);
        checks.good("n_nodes", root.last_leaf().node().unwrap().number() + 1 == vector.n_nodes);
        checks.good("root", root.number() == vector.root);
        let nodes: Vec<_> = (0..vector.n_nodes).map(|number| NodeIndex::new(number).unwrap()).collect();
        let all = |of: &dyn Fn(NodeIndex) -> Option<NodeIndex>| {
            nodes.iter().map(|node| of(*node).map(NodeIndex::number)).collect::<Vec<_>>()
        };
        checks.good("left", all(&NodeIndex::left) == vector.left);
        checks.good("right", all(&NodeIndex::right) == vector.right);
        checks.good("parent", all(&|node| node.parent(leaves)) == vector.parent);
        checks.good("sibling", all(&|node| node.sibling(leaves)) == vector.sibling);
    }
    row
}

/// Makes a file: full trees, the only ones that there are (RFC 9420 §4.1).
pub(super) fn generate(_: &Generator) -> String {
    to_json(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map(Vector::generate))
}

impl Vector {
    fn generate(leaves: u32) -> Self {
        let root = NodeIndex::root(leaves);
        let n_nodes = root.last_leaf().node().unwrap().number() + 1;
        let all = |of: &dyn Fn(NodeIndex) -> Option<NodeIndex>| {
            let nodes = (0..n_nodes).map(|number| NodeIndex::new(number).unwrap());
            nodes.map(|node| of(node).map(NodeIndex::number)).collect::<Vec<_>>()
        };
        Self {
            n_leaves: leaves,
            n_nodes,
            root: root.number(),
            left: all(&NodeIndex::left),
            right: all(&NodeIndex::right),
            parent: all(&|node| node.parent(leaves)),
            sibling: all(&|node| node.sibling(leaves)),
        }
    }
}
