//! RFC 9420 §7.1, §7.9, §12.4.3.3: trees, at every node, as those who join get them.

use hushwood::extension::ExtensionType;
use hushwood::tree::{LeafIndex, Node, ParentNode};
use hushwood::welcome::GroupInfo;
use hushwood_crypto::HpkePublicKey;

use crate::at::At;
use crate::literal::crypto::Suite;
use crate::literal::tree::{Tree, leaves_below};
use crate::member::index;
use crate::mutation::{Family, Mutation, Spot, To, all};
use crate::scene::Scene;

/// The families of this file.
pub fn families() -> Vec<Family> {
    vec![
        Family {
            name: "tree in a Welcome",
            to: To::Joiner,
            build: super::joining::welcome,
            mutations: [nodes(), shapes(), leaves()].concat(),
        },
        Family {
            name: "tree in a GroupInfo",
            to: To::Outsider,
            build: super::joining::group_info,
            mutations: [nodes(), shapes(), leaves()].concat(),
        },
    ]
}

/// The tree of a GroupInfo.
fn tree_of(info: &GroupInfo) -> Tree {
    Tree::from_extension(&info.extensions.get(ExtensionType::RATCHET_TREE).expect("a tree").extension_data)
}

/// Puts a tree into a GroupInfo, with its hash.
fn put(info: &mut GroupInfo, tree: &Tree, suite: Suite) {
    info.extensions.set(ExtensionType::RATCHET_TREE, tree.extension());
    info.group_context.tree_hash = tree.root_hash(suite);
}

/// Changes one parent after the other, those that the change can be made to.
fn each_parent(
    at: At<'_>,
    scene: &Scene,
    spot: &mut Spot,
    change: impl Fn(usize, &Tree, &mut ParentNode) -> bool,
) {
    let At::GroupInfo(info) = at else { return };
    let mut tree = tree_of(info);
    for node in (1..tree.nodes.len()).step_by(2) {
        let Some(mut parent) = tree.parent_node(node).cloned() else { continue };
        if change(node, &tree, &mut parent) && spot.here() {
            tree.nodes[node] = Some(Node::Parent(parent));
            put(info, &tree, scene.hostile().client.suite);
            return;
        }
    }
}

/// Makes a new tree of the old one at one node after the other, where there is one to be made.
fn each_node(at: At<'_>, scene: &Scene, spot: &mut Spot, change: impl Fn(usize, &Tree) -> Option<Tree>) {
    let At::GroupInfo(info) = at else { return };
    let tree = tree_of(info);
    for node in 0..tree.nodes.len() {
        if let Some(changed) = change(node, &tree)
            && spot.here()
        {
            put(info, &changed, scene.hostile().client.suite);
            return;
        }
    }
}

/// The parents, one by one.
fn nodes() -> Vec<Mutation> {
    vec![
        all("a parent's parent hash, one bit", "C148", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| {
                parent.parent_hash.first_mut().map(|byte| *byte ^= 1).is_some()
            });
        }),
        all("a parent hash where there is none above", "C148", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| {
                let none = parent.parent_hash.is_empty();
                parent.parent_hash = vec![1; 32];
                none
            });
        }),
        all("no parent hash where there is one above", "C148", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| !std::mem::take(&mut parent.parent_hash).is_empty());
        }),
        all("another key of a parent", "C148", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| {
                parent.encryption_key.0[3] ^= 1;
                true
            });
        }),
        all("a parent's key is no key", "C101", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| {
                parent.encryption_key = HpkePublicKey(vec![1; 31]);
                true
            });
        }),
        all("an empty key of a parent", "C101", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| {
                parent.encryption_key.0.clear();
                true
            });
        }),
        all("an unmerged leaf that is not below", "C336", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                let outside = tree.members().into_iter().find(|leaf| !leaves_below(node).contains(leaf));
                insert(parent, outside)
            });
        }),
        all("an unmerged leaf that there is not", "C336", |at, scene, spot| {
            each_parent(at, scene, spot, |_, tree, parent| insert(parent, Some(tree.width() + 5)));
        }),
        all("an unmerged leaf that no tree has", "C336", |at, scene, spot| {
            each_parent(at, scene, spot, |_, _, parent| {
                parent.unmerged_leaves.push(LeafIndex::new(u32::MAX));
                true
            });
        }),
        all("an unmerged leaf that is blank", "C336", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                insert(parent, leaves_below(node).find(|leaf| tree.leaf(*leaf).is_none()))
            });
        }),
        all("an unmerged leaf twice", "C100", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                let below = leaves_below(node).find(|leaf| tree.leaf(*leaf).is_some());
                parent.unmerged_leaves =
                    below.into_iter().flat_map(|leaf| [index(leaf), index(leaf)]).collect();
                below.is_some()
            });
        }),
        all("unmerged leaves that are not in order", "C100", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                let below: Vec<_> = leaves_below(node).filter(|leaf| tree.leaf(*leaf).is_some()).collect();
                parent.unmerged_leaves = below.iter().rev().map(|leaf| index(*leaf)).collect();
                below.len() > 1
            });
        }),
        all("an unmerged leaf that a node between does not list", "C337", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                let between = |leaf: &usize| lists(tree, node, *leaf).contains(&false);
                let found = leaves_below(node).filter(|leaf| tree.leaf(*leaf).is_some()).find(between);
                insert(parent, found)
            });
        }),
        all("a leaf that knows the key is said not to", "C149", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                let all_list = |leaf: &usize| !lists(tree, node, *leaf).contains(&false);
                let merged = |leaf: &usize| !parent.unmerged_leaves.contains(&index(*leaf));
                let below = leaves_below(node).filter(|leaf| tree.leaf(*leaf).is_some());
                let found = below.filter(merged).find(all_list);
                insert(parent, found)
            });
        }),
        all(
            "a leaf that does not know the key is said to, and a node above says otherwise",
            "C337",
            |at, scene, spot| {
                each_parent(at, scene, spot, |node, tree, parent| {
                    let lists_above =
                        parent.unmerged_leaves.iter().any(|leaf| listed_above(tree, node, *leaf));
                    !std::mem::take(&mut parent.unmerged_leaves).is_empty() && lists_above
                });
            },
        ),
        all("a leaf that does not know the key is said to", "C149", |at, scene, spot| {
            each_parent(at, scene, spot, |node, tree, parent| {
                let lists_above = parent.unmerged_leaves.iter().any(|leaf| listed_above(tree, node, *leaf));
                !std::mem::take(&mut parent.unmerged_leaves).is_empty() && !lists_above
            });
        }),
    ]
}

/// Puts a leaf where it belongs in the order, if it is not there yet.
fn insert(parent: &mut ParentNode, leaf: Option<usize>) -> bool {
    let Some(leaf) = leaf.map(index) else { return false };
    if parent.unmerged_leaves.contains(&leaf) {
        return false;
    }
    parent.unmerged_leaves.push(leaf);
    parent.unmerged_leaves.sort();
    true
}

/// Of each node with a key between a leaf and a node above it: whether it lists the leaf.
fn lists(tree: &Tree, node: usize, leaf: usize) -> Vec<bool> {
    let path = tree.direct_path(2 * leaf).into_iter().take_while(|above| *above != node);
    path.filter_map(|above| Some(tree.parent_node(above)?.unmerged_leaves.contains(&index(leaf)))).collect()
}

/// Whether a node above lists a leaf.
fn listed_above(tree: &Tree, node: usize, leaf: LeafIndex) -> bool {
    let above = tree.direct_path(node).into_iter();
    above.filter_map(|above| tree.parent_node(above)).any(|parent| parent.unmerged_leaves.contains(&leaf))
}

/// Nodes where they do not belong.
fn shapes() -> Vec<Mutation> {
    vec![
        all("no nodes at all", "C371", |at, _, spot| {
            if let At::TreeBytes(tree) = at
                && spot.once()
            {
                *tree = vec![0];
            }
        }),
        all("blank nodes at the end", "C371", |at, scene, spot| {
            if let At::GroupInfo(info) = at
                && let Some(more) = spot.one_of(&[1, 2, 3])
            {
                let tree = tree_of(info);
                let mut bytes = tree.extension();
                let mut nodes: Vec<Option<Node>> =
                    hushwood_codec::Decode::from_bytes(&bytes).expect("it is a tree");
                nodes.extend(vec![None; more]);
                bytes = hushwood_codec::Encode::to_bytes(&nodes).expect("it is short");
                info.extensions.set(ExtensionType::RATCHET_TREE, bytes);
                assert_eq!(info.group_context.tree_hash, tree.root_hash(scene.hostile().client.suite));
            }
        }),
        all("a tree of blank nodes", "C371", |at, _, spot| {
            if let At::TreeBytes(tree) = at
                && let Some(nodes) = spot.one_of(&[1_u8, 3, 15])
            {
                *tree = vec![0; usize::from(nodes) + 1];
                tree[0] = nodes;
            }
        }),
        all("a leaf where a parent belongs", "C373", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| {
                let leaf = tree.leaf(tree.members()[0]).expect("a member").clone();
                let mut tree = tree.clone();
                tree.nodes[node] = Some(Node::Leaf(leaf));
                (node % 2 == 1).then_some(tree)
            });
        }),
        all("a parent where a leaf belongs", "C373", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| {
                let mut tree = tree.clone();
                let parent = ParentNode {
                    encryption_key: HpkePublicKey(vec![1; 32]),
                    parent_hash: vec![],
                    unmerged_leaves: vec![],
                };
                tree.nodes[node] = Some(Node::Parent(parent));
                (node % 2 == 0).then_some(tree)
            });
        }),
        all("a node of no type", "C018", |at, _, spot| {
            if let At::TreeBytes(tree) = at
                && let Some(of) = spot.one_of(&[0_u8, 3, 255])
            {
                let first = first_node(tree);
                tree[first + 1] = of;
            }
        }),
        all("a presence that is neither 0 nor 1", "C001", |at, _, spot| {
            if let At::TreeBytes(tree) = at
                && let Some(octet) = spot.one_of(&[2_u8, 255])
            {
                let first = first_node(tree);
                tree[first] = octet;
            }
        }),
        all("a tree cut short", "C008", |at, _, spot| {
            if let At::TreeBytes(tree) = at
                && let Some(less) = spot.one_of(&[1, 2, 30])
            {
                tree.truncate(tree.len() - less);
            }
        }),
    ]
}

/// Where the first node of an encoded tree is: behind its length. Leaf 0 is never blank here.
fn first_node(tree: &[u8]) -> usize {
    let head = 1 << (tree[0] >> 6);
    assert_eq!(tree[head..head + 2], [1, 1]);
    head
}

/// A tree in which a parent hash says that somebody else's leaf is not what it was.
fn covered(scene: &Scene, changed: Tree, covered: bool) -> Option<Tree> {
    (changed.parent_hashes_hold(scene.hostile().client.suite) != covered).then_some(changed)
}

/// With another signature of a leaf.
fn other_signature(node: usize, tree: &Tree) -> Option<Tree> {
    let mut tree = tree.clone();
    match tree.nodes.get_mut(node)? {
        Some(Node::Leaf(leaf)) => {
            *leaf.signature.last_mut()? ^= 1;
            Some(tree)
        }
        _ => None,
    }
}

/// With two neighbours in each other's places.
fn swapped(node: usize, tree: &Tree) -> Option<Tree> {
    let leaves = tree.leaf(node / 2).is_some() && tree.leaf(node / 2 + 1).is_some();
    let mut tree = tree.clone();
    if node % 2 == 1 || !leaves {
        return None;
    }
    tree.nodes.swap(node, node + 2);
    Some(tree)
}

/// The leaves, one by one.
fn leaves() -> Vec<Mutation> {
    vec![
        all("a leaf's signature, which a parent hash covers", "C148", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| covered(scene, other_signature(node, tree)?, true));
        }),
        all("a leaf's signature, which no parent hash covers", "C335", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| covered(scene, other_signature(node, tree)?, false));
        }),
        all("a leaf is left out, which a parent hash covers", "C148", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| {
                let mut changed = tree.clone();
                let is_other =
                    node % 2 == 0 && tree.leaf(node / 2).is_some() && node / 2 != scene.hostile().leaf;
                let listed = (1..tree.nodes.len()).step_by(2).filter_map(|node| tree.parent_node(node));
                let listed =
                    listed.flat_map(|parent| &parent.unmerged_leaves).any(|leaf| *leaf == index(node / 2));
                changed.nodes[node] = None;
                // The tree keeps its size.
                let last = changed.nodes.iter().rposition(Option::is_some)?;
                let same =
                    (last + 1).next_power_of_two() == tree.nodes.len() + 1 || last * 2 > tree.nodes.len();
                if is_other && !listed && same { covered(scene, changed, true) } else { None }
            });
        }),
        all("the signer is left out", "C324", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| {
                let mut tree = tree.clone();
                let unmerged = tree.clone();
                let unmerged = (1..unmerged.nodes.len())
                    .step_by(2)
                    .filter_map(|node| unmerged.parent_node(node).cloned());
                let listed = unmerged
                    .flat_map(|parent| parent.unmerged_leaves)
                    .any(|leaf| leaf == index(scene.hostile().leaf));
                tree.nodes[node] = None;
                let last = tree.nodes.iter().rposition(Option::is_some)?;
                (node == 2 * scene.hostile().leaf && !listed && last * 2 > tree.nodes.len()).then_some(tree)
            });
        }),
        all("two neighbours change places, which a parent hash covers", "C148", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| {
                let signer = [node / 2, node / 2 + 1].contains(&scene.hostile().leaf);
                if signer { None } else { covered(scene, swapped(node, tree)?, true) }
            });
        }),
        all("the signer changes places with another", "C149", |at, scene, spot| {
            each_node(at, scene, spot, |node, tree| {
                let signer = [node / 2, node / 2 + 1].contains(&scene.hostile().leaf);
                if signer { swapped(node, tree) } else { None }
            });
        }),
    ]
}
