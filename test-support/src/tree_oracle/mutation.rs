//! One thing wrong with a tree.

use std::sync::Arc;

use hushwood::tree::LeafNodeSource;

use super::array::level;
use super::dice::Dice;
use super::growth::{leaf_node, lifetime};
use super::tree::{Leaf, Node, Parent, Tree};

/// What is done to a list of nodes. Places are those of the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutation {
    /// A node becomes blank, and blank nodes at the end go away.
    Blank(usize),
    /// A blank node gets a value.
    Fill(usize),
    /// A node's `parent_hash` field is another.
    ParentHash(usize, Hash),
    /// A parent's list of unmerged leaves is another.
    Unmerged(usize, Unmerged),
    /// A leaf has another source, without a parent hash.
    Source(usize, Source),
    /// A bit of a node's key is another.
    Key(usize),
    /// A node has the key of another.
    SameKey(usize, usize),
    /// A leaf has the signature key of another.
    SameSignatureKey(usize, usize),
    /// A key has a byte less.
    ShortKey(usize),
    /// Two nodes change places; a leaf and a parent may.
    Swap(usize, usize),
    /// The last node is not sent.
    Cut,
    /// A blank node is sent after the last.
    Trail,
}

/// What becomes of a `parent_hash` field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// Nothing is in it.
    Empty,
    /// A bit is another.
    Flipped,
    /// A byte is missing.
    Cut,
    /// It is that of another node.
    Of(usize),
}

/// What becomes of a list of unmerged leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unmerged {
    /// A leaf goes away, or comes to its place.
    Toggle(u32),
    /// The last two change places.
    Unsorted,
    /// The last is there twice.
    Twice,
    /// None is left.
    None,
}

/// Sources without a parent hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "RFC 9420 §7.2")]
pub enum Source {
    KeyPackage,
    Update,
}

/// All mutations of a tree that change it.
#[must_use]
pub fn all(tree: &Tree) -> Vec<Mutation> {
    let mut mutations = vec![Mutation::Cut, Mutation::Trail];
    let list = tree.list();
    let there: Vec<usize> = (0..list.len()).filter(|x| list[*x].is_some()).collect();
    for (x, node) in list.iter().enumerate() {
        let Some(node) = node else {
            mutations.push(Mutation::Fill(x));
            continue;
        };
        mutations.extend([Mutation::Blank(x), Mutation::Key(x), Mutation::ShortKey(x)]);
        mutations.extend([Hash::Empty, Hash::Flipped, Hash::Cut].map(|hash| Mutation::ParentHash(x, hash)));
        for other in there.iter().copied().filter(|other| *other != x) {
            mutations.extend([Mutation::ParentHash(x, Hash::Of(other)), Mutation::SameKey(x, other)]);
            if other > x {
                mutations.push(Mutation::Swap(x, other));
            }
            if level(x) == 0 && level(other) == 0 {
                mutations.push(Mutation::SameSignatureKey(x, other));
            }
        }
        match node {
            Node::Leaf(_) => {
                mutations
                    .extend([Source::KeyPackage, Source::Update].map(|source| Mutation::Source(x, source)));
            }
            Node::Parent(_) => {
                let leaves = u32::try_from(tree.leaves()).unwrap();
                let toggled = (0..=leaves).chain([1 << 24, 1 << 31, u32::MAX]).map(Unmerged::Toggle);
                let lists = toggled.chain([Unmerged::Unsorted, Unmerged::Twice, Unmerged::None]);
                mutations.extend(lists.map(|list| Mutation::Unmerged(x, list)));
            }
        }
    }
    mutations
}

/// One of them; each kind as likely as the others.
#[must_use]
pub fn some(tree: &Tree, dice: &mut Dice) -> Mutation {
    let list = tree.list();
    let (x, other) = (dice.below(list.len()), dice.below(list.len()));
    let parents = tree.parents();
    let leaves = tree.leaves();
    let p = if parents.is_empty() { x } else { parents[dice.below(parents.len())] };
    match dice.below(16) {
        0 => Mutation::Blank(x),
        1 => Mutation::Fill(x),
        2 => Mutation::ParentHash(x, [Hash::Empty, Hash::Flipped, Hash::Cut][dice.below(3)]),
        3 => Mutation::ParentHash(p, [Hash::Empty, Hash::Flipped, Hash::Cut][dice.below(3)]),
        4 => Mutation::ParentHash(x, Hash::Of(other)),
        5..8 => Mutation::Unmerged(p, Unmerged::Toggle(u32::try_from(dice.below(leaves + 1)).unwrap())),
        8 => Mutation::Unmerged(p, Unmerged::Toggle([1 << 24, 1 << 31, u32::MAX][dice.below(3)])),
        9 => Mutation::Unmerged(p, [Unmerged::Unsorted, Unmerged::Twice, Unmerged::None][dice.below(3)]),
        10 => Mutation::Source(x, if dice.once_in(2) { Source::KeyPackage } else { Source::Update }),
        11 => Mutation::Key(x),
        12 => Mutation::SameKey(x, other),
        13 => Mutation::SameSignatureKey(x, other),
        14 => Mutation::Swap(x, other),
        _ => [Mutation::ShortKey(x), Mutation::Cut, Mutation::Trail][dice.below(3)],
    }
}

/// The list of nodes after a mutation; `None` if nothing changes.
#[must_use]
pub fn mutated(tree: &Tree, mutation: Mutation) -> Option<Vec<Option<Node>>> {
    let mut next = tree.clone();
    match mutation {
        Mutation::Blank(x) => next.nodes[x] = None,
        Mutation::Fill(x) => next.nodes[x] = Some(tree.nodes[x].clone().unwrap_or_else(|| new_node(x))),
        Mutation::ParentHash(x, hash) => {
            tree.nodes[x].as_ref()?;
            parent_hash(&mut next, x, hash);
        }
        Mutation::Unmerged(x, change) => unmerged(&mut next, x, change),
        Mutation::Source(x, source) => {
            let source = match source {
                Source::KeyPackage => LeafNodeSource::KeyPackage(lifetime()),
                Source::Update => LeafNodeSource::Update,
            };
            next.nodes[x] = Some(Node::Leaf(Arc::new(tree.leaf(x)?.with_source(source))));
        }
        Mutation::Key(x) => {
            let mut key = tree.nodes[x].as_ref()?.encryption_key().to_vec();
            *key.first_mut()? ^= 1;
            set_key(&mut next, x, key);
        }
        Mutation::SameKey(x, other) => {
            set_key(&mut next, x, tree.nodes[other].as_ref()?.encryption_key().to_vec());
        }
        Mutation::SameSignatureKey(x, other) => {
            let mut node = tree.leaf(x)?.node().clone();
            node.signature_key = tree.leaf(other)?.node().signature_key.clone();
            next.nodes[x] = Some(Node::Leaf(Arc::new(Leaf::new(node))));
        }
        Mutation::ShortKey(x) => {
            let mut key = tree.nodes[x].as_ref()?.encryption_key().to_vec();
            key.pop();
            set_key(&mut next, x, key);
        }
        Mutation::Swap(x, other) => next.nodes.swap(x, other),
        Mutation::Cut | Mutation::Trail => {}
    }
    let mut list = next.list().to_vec();
    match mutation {
        Mutation::Cut => _ = list.pop(),
        Mutation::Trail => list.push(None),
        _ => {}
    }
    (list != tree.list()).then_some(list)
}

/// A node that has not been in any tree.
fn new_node(x: usize) -> Node {
    let leaf = leaf_node(u64::MAX);
    if level(x) == 0 {
        return Node::Leaf(Arc::new(Leaf::new(leaf)));
    }
    Node::Parent(Parent {
        encryption_key: leaf.encryption_key.0,
        parent_hash: Vec::new(),
        unmerged_leaves: Vec::new(),
    })
}

fn set_key(tree: &mut Tree, x: usize, key: Vec<u8>) {
    match &mut tree.nodes[x] {
        Some(Node::Parent(parent)) => parent.encryption_key = key,
        Some(Node::Leaf(leaf)) => *leaf = Arc::new(leaf.with_encryption_key(key)),
        None => {}
    }
}

fn parent_hash(tree: &mut Tree, x: usize, hash: Hash) {
    let field = |x: usize| tree.nodes[x].as_ref().and_then(Node::parent_hash).map(<[u8]>::to_vec);
    let mut new = field(x).unwrap_or_default();
    match hash {
        Hash::Empty => new.clear(),
        Hash::Flipped => match new.last_mut() {
            Some(byte) => *byte ^= 1,
            None => new.push(0),
        },
        Hash::Cut => _ = new.pop(),
        Hash::Of(other) => new = field(other).unwrap_or_default(),
    }
    tree.set_parent_hash(x, new);
}

fn unmerged(tree: &mut Tree, x: usize, change: Unmerged) {
    let Some(Node::Parent(parent)) = &mut tree.nodes[x] else { return };
    let list = &mut parent.unmerged_leaves;
    match change {
        Unmerged::Toggle(leaf) => match list.binary_search(&leaf) {
            Ok(place) => _ = list.remove(place),
            Err(place) => list.insert(place, leaf),
        },
        Unmerged::Unsorted if list.len() > 1 => {
            let last = list.len() - 1;
            list.swap(last - 1, last);
        }
        Unmerged::Twice => list.extend(list.last().copied()),
        Unmerged::Unsorted => {}
        Unmerged::None => list.clear(),
    }
}
