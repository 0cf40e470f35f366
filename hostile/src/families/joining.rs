//! RFC 9420 §12.4.3: Welcomes and GroupInfos.

use hushwood::extension::{ExtensionType, RequiredCapabilities};
use hushwood::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use hushwood::tree::{LeafIndex, Node};
use hushwood::version::ProtocolVersion;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuiteId, HashReference};

use crate::at::{At, Tamper, nothing};
use crate::literal::crypto::{Key, sign, written};
use crate::member::{KNOWN_EXTENSION, Plan, index};
use crate::mutation::{Family, Mutation, NO_LEAVES, TWICE, To, all, flip, other_length, patch};
use crate::scene::{Scene, add};

/// The families of this file.
pub fn families() -> Vec<Family> {
    vec![
        Family {
            name: "Welcome",
            to: To::Joiner,
            build: welcome,
            mutations: [infos(), welcomes(), with_path()].concat(),
        },
        Family { name: "Welcome without path", to: To::Joiner, build: without_path, mutations: pathless() },
        Family { name: "Welcome and its commit", to: To::Joiner, build: with_commit, mutations: commits() },
        Family {
            name: "GroupInfo",
            to: To::Outsider,
            build: group_info,
            mutations: [infos(), outside()].concat(),
        },
    ]
}

fn plan(scene: &Scene) -> Plan {
    Plan::of(vec![add(scene.joiner_key_package.clone()), super::lists::psk(32)])
}

/// The Welcome of a valid commit.
pub fn welcome(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let mut random = scene.random();
    let made = scene.hostile().commit(&plan(scene), &mut random, &mut nothing);
    made.next.welcome(&made.behind(), &mut random, tamper)
}

/// The same of one without a path.
fn without_path(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let mut random = scene.random();
    let made = scene.hostile().commit(&Plan { path: false, ..plan(scene) }, &mut random, &mut nothing);
    made.next.welcome(&made.behind(), &mut random, tamper)
}

/// The Welcome of a commit in which something may be changed.
fn with_commit(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let mut random = scene.random();
    let made = scene.hostile().commit(&plan(scene), &mut random, tamper);
    made.next.welcome(&made.behind(), &mut random, tamper)
}

/// A GroupInfo.
pub fn group_info(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    scene.hostile().group_info(tamper)
}

/// What can be wrong with any GroupInfo.
fn infos() -> Vec<Mutation> {
    vec![
        all("the GroupInfo's signature, one bit", "C323", |at, _, spot| {
            if let At::GroupInfoSigned(info) = at {
                flip(&mut info.signature, spot);
            }
        }),
        all("the GroupInfo's signature, other length", "C323", |at, _, spot| {
            if let At::GroupInfoSigned(info) = at {
                other_length(&mut info.signature, spot);
            }
        }),
        all("the GroupInfo signed by somebody else", "C323", |at, scene, spot| {
            if let At::Signer(key) = at
                && spot.once()
            {
                *key = scene.friend.signer.clone();
            }
        }),
        all("the GroupInfo signed under another label", "C323", |at, scene, spot| {
            if let At::GroupInfoSigned(info) = at
                && spot.once()
            {
                let tbs = written(|w| {
                    w.value(&info.group_context).value(&info.extensions);
                    w.opaque(&info.confirmation_tag).value(&info.signer);
                });
                let client = &scene.hostile().client;
                info.signature = sign(client.suite, &client.signer, "FramedContentTBS", &tbs);
            }
        }),
        all("a field of the GroupInfo changed after it was signed", "C323", |at, _, spot| {
            if let At::GroupInfoSigned(info) = at
                && let Some(field) = spot.choice(4)
            {
                match field {
                    0 => info.group_context.epoch += 1,
                    1 => info.group_context.confirmed_transcript_hash[0] ^= 1,
                    2 => info.confirmation_tag[0] ^= 1,
                    _ => info.extensions.set(ExtensionType(0xF0A1), vec![]),
                }
            }
        }),
        all("the signer is another member", "C323", |at, scene, spot| {
            if let At::GroupInfo(info) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                info.signer = index(leaf);
            }
        }),
        all("the signer is nobody", "C324", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(leaf) = spot.one_of(&NO_LEAVES)
            {
                info.signer = LeafIndex::new(leaf);
            }
        }),
        all("another tree hash", "C333", |at, _, spot| {
            if let At::GroupInfo(info) = at {
                flip(&mut info.group_context.tree_hash, spot);
            }
        }),
        all("a tree hash of another length", "C374", |at, _, spot| {
            if let At::GroupInfo(info) = at {
                other_length(&mut info.group_context.tree_hash, spot);
            }
        }),
        all("no tree", "C332", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && spot.once()
            {
                info.extensions.remove(ExtensionType::RATCHET_TREE);
            }
        }),
        all("another version", "C162", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(version) = spot.one_of(&[0, 2, 0xFFFF])
            {
                info.group_context.version = ProtocolVersion(version);
            }
        }),
        all("a group extension that does not belong there", "C375", |at, _, spot| {
            if let At::GroupInfo(info) = at {
                let misplaced =
                    [ExtensionType::APPLICATION_ID, ExtensionType::RATCHET_TREE, ExtensionType::EXTERNAL_PUB];
                if let Some(which) = spot.one_of(&misplaced) {
                    info.group_context.extensions.set(which, vec![0]);
                }
            }
        }),
        all("a GroupInfo's extension that does not belong there", "C375", |at, _, spot| {
            if let At::GroupInfo(info) = at {
                let misplaced = [
                    ExtensionType::APPLICATION_ID,
                    ExtensionType::REQUIRED_CAPABILITIES,
                    ExtensionType::EXTERNAL_SENDERS,
                ];
                if let Some(which) = spot.one_of(&misplaced) {
                    info.extensions.set(which, vec![0]);
                }
            }
        }),
        all("a group extension that nobody has", "C385", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(which) = spot.one_of(&[KNOWN_EXTENSION, ExtensionType(0)])
            {
                info.group_context.extensions.set(which, vec![]);
            }
        }),
        all("capabilities are required that members lack", "C347", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(choice) = spot.choice(3)
            {
                let mut required = RequiredCapabilities::default();
                match choice {
                    0 => required.extension_types.push(KNOWN_EXTENSION),
                    1 => required.proposal_types.push(crate::member::KNOWN_PROPOSAL),
                    _ => required.credential_types.push(hushwood::credential::CredentialType(0xF0A1)),
                }
                let data = required.to_bytes().expect("it is short");
                info.group_context.extensions.set(ExtensionType::REQUIRED_CAPABILITIES, data);
            }
        }),
        all("external senders that are none", "C011", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && spot.once()
            {
                info.group_context.extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![9, 1]);
            }
        }),
        all("an external key that is no key", "C032", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(length) = spot.one_of(&[0_usize, 31, 33])
            {
                let key = written(|w| _ = w.opaque(&vec![1; length]));
                info.extensions.set(ExtensionType::EXTERNAL_PUB, key);
            }
        }),
        all("an external key with bytes behind it", "C013", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && spot.once()
            {
                let key = written(|w| _ = w.opaque(&[1; 32]).raw(&[0]));
                info.extensions.set(ExtensionType::EXTERNAL_PUB, key);
            }
        }),
        all("a tree with bytes behind it", "C013", |at, _, spot| {
            if let At::TreeBytes(tree) = at
                && spot.once()
            {
                tree.push(0);
            }
        }),
    ]
}

/// The confirmation tag of the commit that the Welcome is for.
fn true_tag(scene: &Scene) -> Vec<u8> {
    scene.hostile().commit(&plan(scene), &mut scene.random(), &mut nothing).next.confirmation_tag
}

/// What can be wrong with a Welcome.
fn welcomes() -> Vec<Mutation> {
    vec![
        all("confirmation tag, one bit", "C342", |at, _, spot| {
            if let At::GroupInfoTagged(info) = at {
                flip(&mut info.confirmation_tag, spot);
            }
        }),
        all("confirmation tag of another length", "C342", |at, _, spot| {
            if let At::GroupInfoTagged(info) = at {
                other_length(&mut info.confirmation_tag, spot);
            }
        }),
        all("the confirmation tag of the epoch before", "C342", |at, scene, spot| {
            if let At::GroupInfoTagged(info) = at
                && spot.once()
            {
                info.confirmation_tag.clone_from(&scene.hostile().confirmation_tag);
            }
        }),
        all("a GroupInfo of another suite", "C331", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(suite) = spot.one_of(&[0, 2, 3])
            {
                info.group_context.cipher_suite = CipherSuiteId(suite);
            }
        }),
        all("a GroupInfo of another group", "C335", |at, _, spot| {
            // Leaves from commits are signed for their group.
            if let At::GroupInfo(info) = at
                && spot.once()
            {
                info.group_context.group_id.push(1);
            }
        }),
        all("bytes behind the GroupInfo", "C014", |at, _, spot| {
            if let At::GroupInfoBytes(info) = at
                && spot.once()
            {
                info.push(0);
            }
        }),
        all("half a GroupInfo", "C011", |at, _, spot| {
            if let At::GroupInfoBytes(info) = at
                && spot.once()
            {
                info.truncate(info.len() / 2);
            }
        }),
        all("the same extension of the GroupInfo twice", "C349", |at, _, spot| match at {
            At::GroupInfo(info) if spot.once() => {
                info.extensions.set(ExtensionType(0xF0D3), vec![]);
                info.extensions.set(ExtensionType(0xF0D4), TWICE.to_vec());
            }
            At::GroupInfoBytes(info) if spot.hit => twice(info),
            _ => {}
        }),
        all("the same extension of the group twice", "C349", |at, _, spot| match at {
            At::GroupInfo(info) if spot.once() => {
                info.group_context.extensions.set(ExtensionType(0xF0D3), vec![]);
                info.group_context.extensions.set(ExtensionType(0xF0D4), TWICE.to_vec());
            }
            At::GroupInfoBytes(info) if spot.hit => twice(info),
            _ => {}
        }),
        all("bytes behind the secrets", "C014", |at, _, spot| {
            if let At::SecretsBytes(secrets) = at
                && spot.once()
            {
                secrets.push(0);
            }
        }),
        all("half the secrets", "C011", |at, _, spot| {
            if let At::SecretsBytes(secrets) = at
                && spot.once()
            {
                secrets.truncate(20);
            }
        }),
        all("no secrets", "C011", |at, _, spot| {
            if let At::SecretsBytes(secrets) = at
                && spot.once()
            {
                secrets.clear();
            }
        }),
        all("another joiner secret", "C330", |at, _, spot| {
            if let At::SecretsBytes(secrets) = at
                && let Some(place) = spot.choice(32)
            {
                secrets[1 + place] ^= 1;
            }
        }),
        all("a presence that is neither 0 nor 1", "C001", |at, _, spot| {
            if let At::SecretsBytes(secrets) = at
                && let Some(octet) = spot.one_of(&[2_u8, 255])
            {
                secrets[33] = octet;
            }
        }),
        all("a pre-shared key that the joiner lacks", "C328", |at, _, spot| {
            if let At::Secrets(secrets) = at
                && spot.once()
            {
                let psk = Psk::External { psk_id: b"of nobody".to_vec() };
                secrets.psks.push(PreSharedKeyId { psk, psk_nonce: vec![1; 32] });
            }
        }),
        all("a pre-shared key too few", "C172", |at, scene, spot| match at {
            At::Secrets(secrets) if spot.once() => {
                secrets.psks.clear();
            }
            At::GroupInfoTagged(info) if spot.hit => info.confirmation_tag = true_tag(scene),
            _ => {}
        }),
        all("a pre-shared key twice", "C172", |at, scene, spot| match at {
            At::Secrets(secrets) if spot.once() => {
                let again = secrets.psks[0].clone();
                secrets.psks.push(again);
            }
            At::GroupInfoTagged(info) if spot.hit => info.confirmation_tag = true_tag(scene),
            _ => {}
        }),
        all("another nonce than in the commit", "C172", |at, scene, spot| match at {
            At::Secrets(secrets) if spot.once() => {
                secrets.psks[0].psk_nonce[0] ^= 1;
            }
            At::GroupInfoTagged(info) if spot.hit => info.confirmation_tag = true_tag(scene),
            _ => {}
        }),
        all("a nonce of another length", "C171", |at, _, spot| {
            if let At::Secrets(secrets) = at
                && let Some(length) = spot.one_of(&[0, 1, 31, 33, 64])
            {
                secrets.psks[0].psk_nonce.resize(length, 1);
            }
        }),
        all("two keys of a group that this one replaces or is split off from", "C329", |at, scene, spot| {
            let usages = [ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch];
            if let At::Secrets(secrets) = at
                && let Some(usage) = spot.one_of(&usages)
            {
                let psk_group_id = scene.hostile().context.group_id.clone();
                for psk_epoch in [1, 2] {
                    let psk = Psk::Resumption { usage, psk_group_id: psk_group_id.clone(), psk_epoch };
                    secrets.psks.push(PreSharedKeyId { psk, psk_nonce: vec![1; 32] });
                }
            }
        }),
        all("for somebody else", "C325", |at, _, spot| {
            if let At::Entry(entry) = at
                && let Some(length) = spot.one_of(&[0, 31, 32, 33])
            {
                entry.new_member = HashReference(vec![1; length]);
            }
        }),
        all("the secrets' ciphertext, one bit", "C327", |at, _, spot| {
            if let At::Entry(entry) = at {
                flip(&mut entry.encrypted_group_secrets.ciphertext, spot);
            }
        }),
        all("the secrets' ciphertext, other length", "C327", |at, _, spot| {
            if let At::Entry(entry) = at {
                other_length(&mut entry.encrypted_group_secrets.ciphertext, spot);
            }
        }),
        all("the secrets' encapsulation, one bit", "C327", |at, _, spot| {
            if let At::Entry(entry) = at
                && let Some(place) = spot.choice(31)
            {
                entry.encrypted_group_secrets.kem_output[place] ^= 2;
            }
        }),
        all("the secrets' encapsulation, other length", "C327", |at, _, spot| {
            if let At::Entry(entry) = at {
                other_length(&mut entry.encrypted_group_secrets.kem_output, spot);
            }
        }),
        all("an encapsulation that gives a secret of zeros", "C327", |at, _, spot| {
            if let At::Entry(entry) = at
                && spot.once()
            {
                entry.encrypted_group_secrets.kem_output.fill(0);
            }
        }),
        all("no entries", "C325", |at, _, spot| {
            if let At::Welcome(welcome) = at
                && spot.once()
            {
                welcome.secrets.clear();
            }
        }),
        all("the encrypted GroupInfo, one bit", "C327", |at, _, spot| {
            if let At::Welcome(welcome) = at {
                let last = welcome.encrypted_group_info.len().min(40);
                flip(&mut welcome.encrypted_group_info[..last], spot);
            }
        }),
        all("the encrypted GroupInfo, other length", "C327", |at, _, spot| {
            if let At::Welcome(welcome) = at {
                other_length(&mut welcome.encrypted_group_info, spot);
            }
        }),
        all("a Welcome of another suite", "C326", |at, scene, spot| {
            if let At::Welcome(welcome) = at
                && spot.once()
            {
                // One that the joiner's provider has.
                let other = scene.provider.suites.iter().find(|suite| suite.id() != scene.joiner.suite.id());
                welcome.cipher_suite = other.expect("two suites").id();
            }
        }),
        all("a Welcome of no suite", "C162", |at, _, spot| {
            if let At::Welcome(welcome) = at
                && let Some(suite) = spot.one_of(&[0, 0x0A0A, 0xFFFF])
            {
                welcome.cipher_suite = CipherSuiteId(suite);
            }
        }),
        all("bytes behind it", "C012", |at, _, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.push(0);
            }
        }),
        all("cut short", "C011", |at, _, spot| {
            if let At::Message(message) = at
                && let Some(less) = spot.one_of(&[1, 2, 40])
            {
                message.truncate(message.len() - less);
            }
        }),
    ]
}

/// Of two marks of extensions, makes the second like the first.
fn twice(bytes: &mut [u8]) {
    patch(bytes, &[&[0xF0, 0xD4, 22], TWICE].concat(), &[0xF0, 0xD3]);
}

/// What is wrong with the path secret of a joiner.
fn with_path() -> Vec<Mutation> {
    vec![
        all("another path secret", "C340", |at, _, spot| {
            if let At::Secrets(secrets) = at
                && let Some(path) = &mut secrets.path
            {
                flip(path, spot);
            }
        }),
        all("a path secret of another length", "C140", |at, _, spot| {
            if let At::Secrets(secrets) = at
                && let Some(path) = &mut secrets.path
            {
                other_length(path, spot);
            }
        }),
        all("the path secret of the node above", "C340", |at, scene, spot| {
            if let At::Secrets(secrets) = at
                && let Some(path) = &mut secrets.path
                && spot.once()
            {
                *path = crate::literal::crypto::derive(scene.hostile().client.suite, path, "path");
            }
        }),
        all("no path secret where there is a path", "C341", |at, _, spot| {
            if let At::Secrets(secrets) = at
                && spot.once()
            {
                secrets.path = None;
            }
        }),
    ]
}

/// What is wrong with the secrets where the commit has no path.
fn pathless() -> Vec<Mutation> {
    vec![all("a path secret where there is no path", "C340", |at, _, spot| {
        if let At::Secrets(secrets) = at
            && spot.once()
        {
            secrets.path = Some(vec![1; 32]);
        }
    })]
}

/// What is wrong with the group, that the joiner finds there.
fn commits() -> Vec<Mutation> {
    let leaves = super::leaves::any().into_iter();
    // A leaf that is signed by nobody's key, or has another shape on the wire, is in the tree's families; here is what its signer says of itself.
    let leaves = leaves.filter(|mutation| !["C349", "C025", "C115", "C038", "C119"].contains(&mutation.row));
    let mut mutations: Vec<_> = leaves.collect();
    mutations.extend([
        all("two leaves with one signature key", "C127", |at, scene, spot| {
            if let At::Applied(tree) = at
                && spot.once()
            {
                let mut again = scene.hostile().client.clone();
                again.leaf_key = scene.other.leaf_key.clone();
                tree.add(again.key_package(&mut nothing).leaf_node);
            }
        }),
        all("two leaves with one encryption key", "C128", |at, scene, spot| {
            if let At::Applied(tree) = at
                && let Some(member) = spot.one_of(&scene.plain.others())
            {
                let mut again = scene.other.clone();
                let key = tree.leaf(member).expect("a member").encryption_key.clone();
                again.leaf_key = Key { private: vec![], public: key.0 };
                tree.add(again.key_package(&mut nothing).leaf_node);
            }
        }),
        all("a parent with the key of a leaf", "C338", |at, scene, spot| {
            if let At::Path(_, nodes) = at
                && let Some(node) = nodes.last_mut()
            {
                let members = scene.plain.others();
                if let Some(member) = spot.one_of(&members) {
                    let key = scene.hostile().tree.leaf(member).expect("a member").encryption_key.clone();
                    node.key = Key { private: vec![], public: key.0 };
                }
            }
        }),
        all("two parents with one key", "C338", |at, _, spot| {
            if let At::Path(_, nodes) = at {
                for place in 1..nodes.len() {
                    if spot.here() {
                        nodes[place].key = nodes[0].key.clone();
                    }
                }
            }
        }),
        all("a leaf from a commit that says it is from an Update", "C151", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.leaf_node_source = hushwood::tree::LeafNodeSource::Update;
            }
        }),
        all("the joiner's leaf is another one", "C339", |at, scene, spot| {
            if let At::Applied(tree) = at
                && spot.once()
            {
                let last = tree.members().into_iter().find(|leaf| {
                    tree.leaf(*leaf).is_some_and(|leaf| *leaf == scene.joiner_key_package.leaf_node)
                });
                let leaf = scene.friend.key_package(&mut nothing).leaf_node;
                tree.nodes[2 * last.expect("the joiner")] = Some(Node::Leaf(leaf));
            }
        }),
    ]);
    mutations
}

/// What is wrong with a GroupInfo for those who join by an external commit.
fn outside() -> Vec<Mutation> {
    vec![
        all("no external key", "C350", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && spot.once()
            {
                info.extensions.remove(ExtensionType::EXTERNAL_PUB);
            }
        }),
        all("of a suite that there is not", "C162", |at, _, spot| {
            if let At::GroupInfo(info) = at
                && let Some(suite) = spot.one_of(&[0, 0x0A0A, 0xFFFF])
            {
                info.group_context.cipher_suite = CipherSuiteId(suite);
            }
        }),
        all("bytes behind it", "C012", |at, _, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.push(0);
            }
        }),
        all("the same extension twice", "C349", |at, _, spot| match at {
            At::GroupInfo(info) if spot.once() => {
                info.extensions.set(ExtensionType(0xF0D3), vec![]);
                info.extensions.set(ExtensionType(0xF0D4), TWICE.to_vec());
            }
            At::Message(info) if spot.hit => twice(info),
            _ => {}
        }),
    ]
}
