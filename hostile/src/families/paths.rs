//! RFC 9420 §7.4 to §7.6, §12.4.2: update paths.

use hushwood::tree::UpdatePathNode;
use hushwood_crypto::HpkePublicKey;

use crate::at::{At, Tamper};
use crate::literal::crypto::Key;
use crate::literal::tree::{Tree, leaves_below};
use crate::member::{Member, Plan};
use crate::mutation::{Family, Mutation, Spot, To, all, victims};
use crate::scene::{Scene, add};

/// The families of this file.
pub fn families() -> Vec<Family> {
    let counts = counts();
    vec![
        Family {
            name: "path",
            to: To::Members,
            build: path,
            mutations: [counts.clone(), keys(), secrets(), tree()].concat(),
        },
        Family {
            name: "path with Add",
            to: To::Members,
            build: path_with_add,
            mutations: [counts, with_add()].concat(),
        },
    ]
}

fn path(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    scene.hostile().commit(&Plan::of(vec![]), &mut scene.random(), tamper).message
}

fn path_with_add(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let adds = vec![add(scene.friend.key_package(&mut crate::nothing))];
    scene.hostile().commit(&Plan::of(adds), &mut scene.random(), tamper).message
}

/// Who takes the path secret of each node, by place in the path and among the recipients.
fn recipients(hostile: &Member) -> Vec<Vec<Vec<usize>>> {
    let tree = &hostile.tree;
    let own = 2 * hostile.leaf;
    let of =
        |node: usize| tree.resolution(Tree::other_child(node, own)).into_iter().map(|node| below(tree, node));
    tree.filtered_path(hostile.leaf).into_iter().map(|node| of(node).collect()).collect()
}

/// The members who have the private key of a node.
fn below(tree: &Tree, node: usize) -> Vec<usize> {
    let unmerged = tree.parent_node(node).map(|parent| parent.unmerged_leaves.clone()).unwrap_or_default();
    let without =
        |leaf: &usize| !unmerged.iter().any(|other| other.number() == u32::try_from(*leaf).unwrap());
    leaves_below(node).filter(|leaf| tree.leaf(*leaf).is_some()).filter(without).collect()
}

/// The members below a node of the path: all of them learn its key.
fn under(scene: &Scene, node: usize) -> Vec<usize> {
    scene.plain.others().into_iter().filter(|leaf| leaves_below(node).contains(leaf)).collect()
}

/// How many nodes and ciphertexts there are.
fn counts() -> Vec<Mutation> {
    vec![
        all("a node too few", "C133", |at, _, spot| {
            if let At::UpdatePath(path) = at
                && !path.nodes.is_empty()
                && let Some(choice) = spot.choice(path.nodes.len())
            {
                path.nodes.remove(choice);
            }
        }),
        all("a node too many", "C133", |at, _, spot| {
            if let At::UpdatePath(path) = at
                && let Some(choice) = spot.choice(path.nodes.len() + 1)
            {
                let node = UpdatePathNode {
                    encryption_key: HpkePublicKey(vec![9; 32]),
                    encrypted_path_secret: vec![],
                };
                path.nodes.insert(choice, node);
            }
        }),
        all("no nodes", "C133", |at, _, spot| {
            if let At::UpdatePath(path) = at
                && spot.once()
            {
                path.nodes.clear();
            }
        }),
        all("a ciphertext too few", "C134", |at, _, spot| {
            if let At::UpdatePath(path) = at {
                for node in &mut path.nodes {
                    if !node.encrypted_path_secret.is_empty() && spot.here() {
                        node.encrypted_path_secret.pop();
                    }
                }
            }
        }),
        all("a ciphertext too many", "C134", |at, _, spot| {
            if let At::UpdatePath(path) = at {
                let any = path.nodes.iter().find_map(|node| node.encrypted_path_secret.first().cloned());
                for node in &mut path.nodes {
                    if let Some(any) = &any
                        && spot.here()
                    {
                        node.encrypted_path_secret.push(any.clone());
                    }
                }
            }
        }),
        all("no ciphertexts", "C134", |at, _, spot| {
            if let At::UpdatePath(path) = at {
                for node in &mut path.nodes {
                    if !node.encrypted_path_secret.is_empty() && spot.here() {
                        node.encrypted_path_secret.clear();
                    }
                }
            }
        }),
    ]
}

/// The public keys.
fn keys() -> Vec<Mutation> {
    vec![
        all("another key of a node, in what is sent", "C137", |at, _, spot| {
            if let At::UpdatePath(path) = at {
                for node in &mut path.nodes {
                    if spot.here() {
                        node.encryption_key.0[0] ^= 1;
                    }
                }
            }
        }),
        victims("another key of a node, hashed and signed", "C138", |at, scene, spot| {
            if let At::Path(_, nodes) = at {
                for node in nodes {
                    if spot.here() {
                        node.key = scene.friend.init_key.clone();
                        spot.victims = under(scene, node.node);
                    }
                }
            }
        }),
        all("a node's key is that of another leaf", "C310", |at, scene, spot| {
            if let At::Path(_, nodes) = at {
                each_member(scene, spot, |key| nodes[0].key = key);
            }
        }),
        all("the root's key is that of another leaf", "C310", |at, scene, spot| {
            if let At::Path(_, nodes) = at {
                each_member(scene, spot, |key| nodes.last_mut().expect("a root").key = key);
            }
        }),
        all("a node's key is that of another parent", "C310", |at, scene, spot| {
            if let At::Path(_, nodes) = at {
                for key in parents_besides(scene.hostile()) {
                    if spot.here() {
                        nodes[0].key = public(key);
                    }
                }
            }
        }),
        all("two nodes share a key", "C311", |at, _, spot| {
            if let At::Path(_, nodes) = at {
                for place in 1..nodes.len() {
                    if spot.here() {
                        nodes[place].key = nodes[0].key.clone();
                    }
                }
            }
        }),
        all("the leaf has the key of a node above it", "C310", |at, _, spot| {
            if let At::Path(leaf, nodes) = at {
                for node in nodes {
                    if spot.here() {
                        *leaf = node.key.clone();
                    }
                }
            }
        }),
        all("the leaf has the key of another leaf", "C310", |at, scene, spot| {
            if let At::Path(leaf, _) = at {
                each_member(scene, spot, |key| *leaf = key);
            }
        }),
        all("the leaf has the key of a parent", "C310", |at, scene, spot| {
            if let At::Path(leaf, _) = at {
                for key in parents_besides(scene.hostile()) {
                    if spot.here() {
                        *leaf = public(key);
                    }
                }
            }
        }),
        all("the leaf keeps its key", "C309", |at, scene, spot| {
            if let At::Path(leaf, _) = at
                && spot.once()
            {
                *leaf = scene.hostile().private[&(2 * scene.hostile().leaf)].clone();
            }
        }),
        all("a node's key is no key", "C032", |at, _, spot| {
            if let At::Path(_, nodes) = at {
                for node in nodes {
                    for length in [0, 31, 33] {
                        if spot.here() {
                            node.key.public.resize(length, 1);
                        }
                    }
                }
            }
        }),
        all("the leaf's key is no key", "C032", |at, _, spot| {
            if let At::Path(leaf, _) = at
                && let Some(length) = spot.one_of(&[0, 31, 33, 64])
            {
                leaf.public.resize(length, 1);
            }
        }),
    ]
}

fn public(key: HpkePublicKey) -> Key {
    Key { private: vec![1; 32], public: key.0 }
}

/// One member's key after the other.
fn each_member(scene: &Scene, spot: &mut Spot, mut take: impl FnMut(Key)) {
    let others = scene.plain.others();
    if let Some(leaf) = spot.one_of(&others) {
        take(public(scene.hostile().tree.leaf(leaf).expect("a member").encryption_key.clone()));
    }
}

/// The keys of parents that are not above the hostile member.
fn parents_besides(hostile: &Member) -> Vec<HpkePublicKey> {
    let above = hostile.tree.direct_path(2 * hostile.leaf);
    let nodes = (1..hostile.tree.nodes.len()).step_by(2).filter(|node| !above.contains(node));
    nodes.filter_map(|node| Some(hostile.tree.parent_node(node)?.encryption_key.clone())).collect()
}

/// The path secrets.
fn secrets() -> Vec<Mutation> {
    vec![
        victims("another path secret for some", "C138", |at, scene, spot| {
            if let At::PathSecret(step, turn, secret) = at
                && spot.here()
            {
                secret[31] ^= 1;
                spot.victims = recipients(scene.hostile())[step][turn].clone();
            }
        }),
        victims("a path secret of another length", "C140", |at, scene, spot| {
            if let At::PathSecret(step, turn, secret) = at {
                for length in [0, 31, 33, 64] {
                    if spot.here() {
                        secret.resize(length, 0);
                        spot.victims = recipients(scene.hostile())[step][turn].clone();
                    }
                }
            }
        }),
        victims("the path secret of the node above", "C138", |at, scene, spot| {
            if let At::PathSecret(step, turn, secret) = at
                && spot.here()
            {
                *secret = crate::literal::crypto::derive(scene.hostile().client.suite, secret, "path");
                spot.victims = recipients(scene.hostile())[step][turn].clone();
            }
        }),
        victims("a ciphertext with a bit flipped", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.ciphertext[5] ^= 4);
        }),
        victims("a ciphertext cut short", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.ciphertext.truncate(15));
        }),
        victims("an empty ciphertext", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.ciphertext.clear());
        }),
        victims("another encapsulation", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.kem_output[7] ^= 4);
        }),
        victims("an encapsulation of another length", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.kem_output.truncate(31));
        }),
        victims("an empty encapsulation", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.kem_output.clear());
        }),
        victims("an encapsulation that gives a secret of zeros", "C139", |at, scene, spot| {
            each_ciphertext(at, scene, spot, |ciphertext| ciphertext.kem_output.fill(0));
        }),
        victims("the ciphertexts of a node in another order", "C139", |at, scene, spot| {
            if let At::UpdatePath(path) = at {
                for (step, node) in path.nodes.iter_mut().enumerate() {
                    if node.encrypted_path_secret.len() > 1 && spot.here() {
                        node.encrypted_path_secret.swap(0, 1);
                        spot.victims = recipients(scene.hostile())[step][..2].concat();
                    }
                }
            }
        }),
        all("encrypted for another epoch", "C135", |at, _, spot| {
            if let At::Provisional(context) = at
                && let Some(more) = spot.one_of(&[1, u64::MAX])
            {
                context.epoch = context.epoch.wrapping_add(more);
            }
        }),
        all("encrypted for another tree", "C135", |at, scene, spot| {
            if let At::Provisional(context) = at
                && let Some(choice) = spot.choice(2)
            {
                match choice {
                    0 => context.tree_hash[0] ^= 1,
                    _ => context.tree_hash.clone_from(&scene.hostile().context.tree_hash),
                }
            }
        }),
        all("encrypted for another transcript", "C135", |at, _, spot| {
            if let At::Provisional(context) = at
                && let Some(choice) = spot.choice(2)
            {
                match choice {
                    0 => context.confirmed_transcript_hash[0] ^= 1,
                    _ => context.confirmed_transcript_hash.clear(),
                }
            }
        }),
        all("encrypted for another group", "C135", |at, _, spot| {
            if let At::Provisional(context) = at
                && spot.once()
            {
                context.group_id.push(1);
            }
        }),
        all("encrypted for other extensions", "C135", |at, _, spot| {
            if let At::Provisional(context) = at
                && spot.once()
            {
                context.extensions.set(crate::member::KNOWN_EXTENSION, vec![]);
            }
        }),
    ]
}

fn each_ciphertext(
    at: At<'_>,
    scene: &Scene,
    spot: &mut Spot,
    change: fn(&mut hushwood_crypto::hpke::HpkeCiphertext),
) {
    if let At::UpdatePath(path) = at {
        for (step, node) in path.nodes.iter_mut().enumerate() {
            for (turn, ciphertext) in node.encrypted_path_secret.iter_mut().enumerate() {
                if spot.here() {
                    change(ciphertext);
                    spot.victims = recipients(scene.hostile())[step][turn].clone();
                }
            }
        }
    }
}

/// Trees that are hashed otherwise than the message makes them: keys, and path secrets, are of another tree.
fn tree() -> Vec<Mutation> {
    vec![
        all("a node of the path keeps unmerged leaves", "C135", |at, scene, spot| {
            if let At::Tree(tree) = at {
                for node in tree.filtered_path(scene.hostile().leaf) {
                    if let Some(hushwood::tree::Node::Parent(parent)) = &mut tree.nodes[node]
                        && spot.here()
                    {
                        parent.unmerged_leaves.push(crate::member::index(scene.hostile().leaf));
                    }
                }
            }
        }),
        all("a node beside the path is blanked, others are told", "C134", |at, scene, spot| {
            blank_beside(at, scene, spot, |before, after| before != after);
        }),
        all("a node beside the path is blanked, the same are told", "C135", |at, scene, spot| {
            blank_beside(at, scene, spot, |before, after| before == after);
        }),
        all("another member is left out of the tree", "C135", |at, scene, spot| {
            if let At::Tree(tree) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                // What it was sent, it was sent under another hash.
                if let Some(hushwood::tree::Node::Leaf(leaf)) = &mut tree.nodes[2 * leaf] {
                    leaf.signature.push(0);
                }
            }
        }),
    ]
}

/// Blanks one node after the other that is not above the committer, where the number of those who are told a path secret
/// before and after is as asked for.
fn blank_beside(at: At<'_>, scene: &Scene, spot: &mut Spot, fits: fn(usize, usize) -> bool) {
    let At::Tree(tree) = at else { return };
    let own = 2 * scene.hostile().leaf;
    let told = |tree: &Tree| {
        let path = tree.filtered_path(scene.hostile().leaf).into_iter();
        path.map(|node| tree.resolution(Tree::other_child(node, own)).len()).sum::<usize>()
    };
    let above = tree.direct_path(own);
    for node in (1..tree.nodes.len()).step_by(2).filter(|node| !above.contains(node)) {
        let mut blanked = tree.clone();
        if blanked.nodes[node].take().is_some() && fits(told(tree), told(&blanked)) && spot.here() {
            *tree = blanked;
            return;
        }
    }
}

/// What concerns those whom the same commit adds.
fn with_add() -> Vec<Mutation> {
    vec![
        all("a ciphertext for a newcomer as well", "C132", |at, _, spot| {
            if let At::UpdatePath(path) = at {
                let any = path.nodes.iter().find_map(|node| node.encrypted_path_secret.first().cloned());
                if let (Some(any), Some(last)) = (any, path.nodes.last_mut())
                    && spot.once()
                {
                    last.encrypted_path_secret.push(any);
                }
            }
        }),
        all("the newcomer's leaf has the key of the committer's", "C310", |at, scene, spot| {
            if let At::Path(leaf, _) = at
                && spot.once()
            {
                *leaf = public(scene.friend.leaf_key.hpke_public());
            }
        }),
        all("a node's key is that of the newcomer's leaf", "C310", |at, scene, spot| {
            if let At::Path(_, nodes) = at {
                for node in nodes {
                    if spot.here() {
                        node.key = public(scene.friend.leaf_key.hpke_public());
                    }
                }
            }
        }),
    ]
}
