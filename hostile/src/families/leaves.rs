//! RFC 9420 §7.2, §7.3: leaves, in the path of a commit.

use hushwood::credential::{Credential, CredentialType};
use hushwood::extension::ExtensionType;
use hushwood::proposal::ProposalType;
use hushwood::tree::{LeafNodeSource, Lifetime};
use hushwood::version::ProtocolVersion;
use hushwood_crypto::{CipherSuiteId, HpkePublicKey, SignaturePublicKey};

use crate::at::{At, Tamper};
use crate::literal::crypto::sign;
use crate::member::{KNOWN_EXTENSION, Plan, leaf_tbs};
use crate::mutation::{Family, Mutation, TWICE, To, all, flip, other_length, patch};
use crate::scene::Scene;

/// The family of this file.
pub fn families() -> Vec<Family> {
    let any = any().into_iter().map(|mutation| match mutation.name {
        // The tree that comes of it is looked at before the leaf's signature.
        SOMEBODY_ELSES => Mutation { row: "C127", ..mutation },
        _ => mutation,
    });
    vec![Family { name: "leaf", to: To::Members, build: path, mutations: any.chain(of_a_path()).collect() }]
}

/// A leaf with the signature key of another member, which is both not signed with and there twice.
pub const SOMEBODY_ELSES: &str = "its signature key is somebody else's";

fn path(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    scene.hostile().commit(&Plan::of(vec![]), &mut scene.random(), tamper).message
}

/// What can be wrong with any leaf.
pub fn any() -> Vec<Mutation> {
    vec![
        all("the leaf's signature, one bit", "C115", |at, _, spot| {
            if let At::LeafSigned(leaf) = at {
                flip(&mut leaf.signature, spot);
            }
        }),
        all("the leaf's signature, other length", "C115", |at, _, spot| {
            if let At::LeafSigned(leaf) = at {
                other_length(&mut leaf.signature, spot);
            }
        }),
        all("the leaf signed under another label", "C038", |at, scene, spot| {
            if let At::LeafSigned(leaf) = at {
                let labels = ["KeyPackageTBS", "FramedContentTBS", "GroupInfoTBS", "LeafNodeTBS ", ""];
                if let Some(label) = spot.one_of(&labels) {
                    let hostile = scene.hostile();
                    let number = crate::member::index(hostile.leaf).number();
                    let tbs = leaf_tbs(leaf, &hostile.context.group_id, number);
                    let own = leaf.signature_key == hostile.client.signer.signature_public();
                    let client = if own { &hostile.client } else { &scene.friend };
                    leaf.signature = sign(client.suite, &client.signer, label, &tbs);
                }
            }
        }),
        all("a field of the leaf changed after it was signed", "C113", |at, _, spot| {
            if let At::LeafSigned(leaf) = at
                && let Some(field) = spot.choice(7)
            {
                match field {
                    0 => leaf.credential = Credential::basic("somebody else"),
                    1 => leaf.capabilities.extensions.push(ExtensionType(0xF0F0)),
                    2 => leaf.capabilities.cipher_suites.push(CipherSuiteId(7)),
                    3 => leaf.capabilities.proposals.push(ProposalType(0xF0F0)),
                    4 => leaf.capabilities.credentials.push(CredentialType(0xF0F0)),
                    5 => leaf.capabilities.versions.push(ProtocolVersion(0xF0F0)),
                    _ => leaf.extensions.set(KNOWN_EXTENSION, vec![1]),
                }
            }
        }),
        all("its capabilities lack the group's suite", "C105", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let Some(choice) = spot.choice(2)
            {
                leaf.capabilities.cipher_suites = if choice == 0 { vec![] } else { vec![CipherSuiteId(3)] };
            }
        }),
        all("its capabilities lack the group's version", "C105", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let Some(choice) = spot.choice(2)
            {
                leaf.capabilities.versions = if choice == 0 { vec![] } else { vec![ProtocolVersion(2)] };
            }
        }),
        all("its credential is of a type that it does not list", "C107", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.capabilities.credentials.clear();
            }
        }),
        all("its credential is of a type that others do not list", "C119", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                let credential_type = CredentialType(0xF0AA);
                leaf.credential = Credential::Custom { credential_type, data: vec![1] };
                leaf.capabilities.credentials.push(credential_type);
            }
        }),
        all("it does not list the credential type of others", "C120", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                let credential_type = CredentialType(0xF0AA);
                leaf.credential = Credential::Custom { credential_type, data: vec![1] };
                leaf.capabilities.credentials = vec![credential_type];
            }
        }),
        all("it has an extension that it does not list", "C106", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let Some(which) = spot.one_of(&[0xF0A1, 0x0A0A])
            {
                leaf.extensions.set(ExtensionType(which), vec![]);
            }
        }),
        all("it has an extension that does not belong there", "C375", |at, _, spot| {
            if let At::Leaf(leaf) = at {
                let misplaced = [
                    ExtensionType::RATCHET_TREE,
                    ExtensionType::REQUIRED_CAPABILITIES,
                    ExtensionType::EXTERNAL_PUB,
                    ExtensionType::EXTERNAL_SENDERS,
                ];
                if let Some(which) = spot.one_of(&misplaced) {
                    leaf.extensions.set(which, vec![0]);
                }
            }
        }),
        all("its encryption key is no key", "C032", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let Some(length) = spot.one_of(&[0, 31, 33])
            {
                leaf.encryption_key = HpkePublicKey(vec![1; length]);
            }
        }),
        all("its signature key is no key", "C035", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let Some(length) = spot.one_of(&[0, 31, 33])
            {
                leaf.signature_key = SignaturePublicKey(vec![1; length]);
            }
        }),
        all(SOMEBODY_ELSES, "C115", |at, scene, spot| {
            if let At::Leaf(leaf) = at
                && let Some(other) = spot.one_of(&scene.plain.others())
            {
                leaf.signature_key = scene.hostile().public_key_of(other);
            }
        }),
        all("an extension twice", "C349", |at, _, spot| match at {
            At::Leaf(leaf) if spot.once() => {
                leaf.extensions.set(ExtensionType(0xF0D1), vec![]);
                leaf.extensions.set(ExtensionType(0xF0D2), TWICE.to_vec());
            }
            At::Message(message) if spot.hit => {
                patch(message, &[&[0xF0, 0xD2, 22], TWICE].concat(), &[0xF0, 0xD1]);
            }
            _ => {}
        }),
        all("a credential of no type", "C025", |at, _, spot| match at {
            At::Leaf(leaf) if spot.once() => {
                let credential_type = CredentialType(0xF0AB);
                leaf.credential = Credential::Custom { credential_type, data: b"who".to_vec() };
            }
            At::Message(message) if spot.hit => {
                patch(message, b"\xF0\xAB\x03who", &[0x0A, 0x0A]);
            }
            _ => {}
        }),
    ]
}

/// What can be wrong with a leaf from a commit.
pub fn of_a_path() -> Vec<Mutation> {
    vec![
        all("a leaf from a commit says it is from an Update", "C126", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.leaf_node_source = LeafNodeSource::Update;
            }
        }),
        all("a leaf from a commit says it is from a KeyPackage", "C126", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.leaf_node_source =
                    LeafNodeSource::KeyPackage(Lifetime { not_before: 0, not_after: u64::MAX });
            }
        }),
        all("another parent hash", "C137", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let LeafNodeSource::Commit { parent_hash } = &mut leaf.leaf_node_source
            {
                flip(parent_hash, spot);
            }
        }),
        all("a parent hash of another length", "C150", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && let LeafNodeSource::Commit { parent_hash } = &mut leaf.leaf_node_source
            {
                other_length(parent_hash, spot);
            }
        }),
        all("the parent hash that it had before", "C137", |at, scene, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                let before = scene.hostile().tree.leaf(scene.hostile().leaf).expect("a member");
                leaf.leaf_node_source = before.leaf_node_source.clone();
            }
        }),
        all("the leaf signed for another group", "C112", |at, _, spot| {
            if let At::LeafPlace(group_id, _) = at
                && let Some(choice) = spot.choice(2)
            {
                if choice == 0 { group_id.clear() } else { group_id.push(0) }
            }
        }),
        all("the leaf signed for another place", "C112", |at, scene, spot| {
            if let At::LeafPlace(_, number) = at {
                let own = crate::member::index(scene.hostile().leaf).number();
                let width = u32::try_from(scene.hostile().tree.width()).unwrap();
                let others: Vec<_> = (0..=width).filter(|other| *other != own).collect();
                if let Some(other) = spot.one_of(&others) {
                    *number = other;
                }
            }
        }),
        all("the message signed with the new leaf's key", "C319", |at, scene, spot| match at {
            // The leaf shows another key, which signs it and the message.
            At::Leaf(leaf) if spot.once() => leaf.signature_key = scene.other.signer.signature_public(),
            At::LeafSigned(leaf) if spot.hit => {
                let hostile = scene.hostile();
                let number = crate::member::index(hostile.leaf).number();
                let tbs = leaf_tbs(leaf, &hostile.context.group_id, number);
                leaf.signature = sign(hostile.client.suite, &scene.other.signer, "LeafNodeTBS", &tbs);
            }
            At::Signer(key) if spot.hit => *key = scene.other.signer.clone(),
            _ => {}
        }),
    ]
}
