//! `tree-math.json`: RFC 9420 Appendix C.

use hushwood::tree::NodeIndex;
use hushwood_crypto::CryptoProvider;
use serde::Deserialize;

use super::Checks;
use crate::table::Row;

#[derive(Deserialize)]
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
