//! RFC 9420 §12.1, §12.2, §12.3: the proposals of a commit, by value and by reference.

use hushwood::commit::ProposalOrRef;
use hushwood::credential::Credential;
use hushwood::extension::{ExtensionType, Extensions, ExternalSender, RequiredCapabilities};
use hushwood::proposal::{
    ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ProposalType, ReInit, Update,
};
use hushwood::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use hushwood::tree::{LeafIndex, LeafNodeSource};
use hushwood::version::ProtocolVersion;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuiteId, HashReference, SignaturePublicKey};

use crate::at::{At, Tamper, nothing};
use crate::literal::crypto::Key;
use crate::member::{KNOWN_EXTENSION, KNOWN_PROPOSAL, Plan, index};
use crate::mutation::{Family, Mutation, NO_LEAVES, Spot, To, all, patch};
use crate::scene::{PSK, Scene, add, remove};

/// The families of this file.
pub fn families() -> Vec<Family> {
    vec![
        Family { name: "list", to: To::Members, build: list, mutations: [values(), of_lists()].concat() },
        Family { name: "list without path", to: To::Members, build: without_path, mutations: pathless() },
        Family {
            name: "list by reference without path",
            to: To::Waiting,
            build: waiting_without_path,
            mutations: vec![all("an Update by reference, without path", "C297", |at, scene, spot| {
                if let At::Proposals(list) = at
                    && spot.once()
                {
                    list.push(named(scene, "update"));
                }
            })],
        },
        Family { name: "list by reference", to: To::Waiting, build: by_reference, mutations: references() },
    ]
}

/// A commit with a path that adds somebody.
fn list(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let adds = vec![add(scene.friend.key_package(&mut nothing))];
    scene.hostile().commit(&Plan::of(adds), &mut scene.random(), tamper).message
}

/// The same without a path.
fn without_path(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let adds = vec![add(scene.friend.key_package(&mut nothing))];
    let plan = Plan { path: false, ..Plan::of(adds) };
    scene.hostile().commit(&plan, &mut scene.random(), tamper).message
}

/// The same where proposals wait.
fn waiting_without_path(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let adds = vec![add(scene.friend.key_package(&mut nothing))];
    let plan = Plan { path: false, ..Plan::of(adds) };
    scene.waiting.hostile.commit(&plan, &mut scene.random(), tamper).message
}

/// A commit of an Update of an honest member, that all have.
fn by_reference(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let proposals = vec![named(scene, "update")];
    let plan = Plan { proposals, ..Plan::of(vec![]) };
    scene.waiting.hostile.commit(&plan, &mut scene.random(), tamper).message
}

fn named(scene: &Scene, name: &str) -> ProposalOrRef {
    ProposalOrRef::Reference(HashReference(scene.references[name].clone()))
}

/// The pre-shared key that all have, with a nonce of this length.
pub fn psk(nonce: usize) -> Proposal {
    psk_of(Psk::External { psk_id: PSK.to_vec() }, nonce)
}

fn psk_of(psk: Psk, nonce: usize) -> Proposal {
    Proposal::Psk(Box::new(PreSharedKey { psk: PreSharedKeyId { psk, psk_nonce: vec![5; nonce] } }))
}

/// A pre-shared key that nobody has.
pub fn other_psk() -> Proposal {
    psk_of(Psk::External { psk_id: b"of nobody".to_vec() }, 32)
}

/// A resumption key of this group.
pub fn resumption(scene: &Scene, usage: ResumptionPskUsage, psk_epoch: u64) -> Proposal {
    let psk_group_id = scene.hostile().context.group_id.clone();
    psk_of(Psk::Resumption { usage, psk_group_id, psk_epoch }, 32)
}

/// New extensions of the group.
pub fn gce(extension_type: ExtensionType, data: Vec<u8>) -> Proposal {
    let mut extensions = Extensions::new();
    extensions.set(extension_type, data);
    Proposal::GroupContextExtensions(GroupContextExtensions { extensions })
}

/// A reinitialisation.
pub fn reinit(version: u16) -> Proposal {
    Proposal::ReInit(Box::new(ReInit {
        group_id: b"next".to_vec(),
        version: ProtocolVersion(version),
        cipher_suite: CipherSuiteId(1),
        extensions: Extensions::new(),
    }))
}

fn requires(required: &RequiredCapabilities) -> Proposal {
    gce(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().expect("it is short"))
}

fn senders(key: Vec<u8>) -> Vec<u8> {
    let credential = Credential::basic("sender");
    vec![ExternalSender { signature_key: SignaturePublicKey(key), credential }]
        .to_bytes()
        .expect("it is short")
}

/// Puts these in place of the list, or behind it.
fn put(at: At<'_>, spot: &mut Spot, proposals: impl FnOnce() -> Vec<Proposal>) {
    if let At::Proposals(list) = at
        && spot.once()
    {
        list.extend(proposals().into_iter().map(ProposalOrRef::Proposal));
    }
}

/// One of these.
fn put_one(at: At<'_>, spot: &mut Spot, proposals: impl FnOnce() -> Vec<Proposal>) {
    if let At::Proposals(list) = at {
        list.extend(spot.one_of(&proposals()).map(ProposalOrRef::Proposal));
    }
}

/// An Update of the hostile member's leaf.
fn own_update(scene: &Scene) -> Proposal {
    let hostile = scene.hostile();
    let key = Key::hpke(hostile.client.suite, &mut scene.random());
    let mut leaf_node = hostile.client.leaf(&key, LeafNodeSource::Update);
    hostile.client.sign_leaf(&mut leaf_node, (&hostile.context.group_id, hostile.leaf), &mut nothing);
    Proposal::Update(Box::new(Update { leaf_node }))
}

/// Proposals that are wrong by themselves. They are so in a list, and alone.
pub fn values() -> Vec<Mutation> {
    vec![
        all("a Remove of nobody", "C246", |at, scene, spot| {
            let tree = &scene.hostile().tree;
            let blank = (0..tree.width()).filter(|leaf| tree.leaf(*leaf).is_none()).map(index);
            let mut nobody: Vec<_> = blank.chain(NO_LEAVES.map(LeafIndex::new)).collect();
            // The next leaf would be that of who is added; it is not there yet.
            nobody.push(index(tree.width()));
            let removes = nobody
                .into_iter()
                .map(|removed| Proposal::Remove(hushwood::proposal::Remove { removed }))
                .collect();
            put_one(at, spot, || removes);
        }),
        all("a nonce of another length", "C247", |at, _, spot| {
            put_one(at, spot, || [0, 1, 31, 33, 64].map(psk).to_vec());
        }),
        all("a resumption key for a reinitialisation", "C229", |at, scene, spot| {
            put(at, spot, || {
                vec![resumption(scene, ResumptionPskUsage::Reinit, scene.hostile().context.epoch)]
            });
        }),
        all("a resumption key for a branch", "C235", |at, scene, spot| {
            put(at, spot, || {
                vec![resumption(scene, ResumptionPskUsage::Branch, scene.hostile().context.epoch)]
            });
        }),
        all("a reinitialisation to a lower version", "C248", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                *list = vec![ProposalOrRef::Proposal(reinit(0))];
            }
        }),
        all("an ExternalInit of a member", "C249", |at, _, spot| {
            put_one(at, spot, || {
                [0, 32]
                    .map(|length| Proposal::ExternalInit(ExternalInit { kem_output: vec![1; length] }))
                    .to_vec()
            });
        }),
        all("a group extension that does not belong there", "C375", |at, _, spot| {
            let misplaced =
                [ExtensionType::APPLICATION_ID, ExtensionType::RATCHET_TREE, ExtensionType::EXTERNAL_PUB];
            put_one(at, spot, || misplaced.map(|which| gce(which, vec![0])).to_vec());
        }),
        all("external senders with bytes behind them", "C013", |at, scene, spot| {
            let data = [senders(scene.sender.signer.public.clone()), vec![0]].concat();
            put(at, spot, || vec![gce(ExtensionType::EXTERNAL_SENDERS, data)]);
        }),
        all("required capabilities with bytes behind them", "C013", |at, _, spot| {
            let none = RequiredCapabilities::default().to_bytes().expect("it is short");
            put(at, spot, || vec![gce(ExtensionType::REQUIRED_CAPABILITIES, [none, vec![0]].concat())]);
        }),
        all("an external sender whose key is no key", "C256", |at, _, spot| {
            put_one(at, spot, || {
                [0, 31, 33]
                    .map(|length| gce(ExtensionType::EXTERNAL_SENDERS, senders(vec![1; length])))
                    .to_vec()
            });
        }),
        all("a proposal of no type", "C024", |at, _, spot| match at {
            At::Proposals(list) if spot.once() => {
                let data = b"what".to_vec();
                list.push(ProposalOrRef::Proposal(Proposal::Custom {
                    proposal_type: ProposalType(0xF0AC),
                    data,
                }));
            }
            At::Message(message) if spot.hit => {
                patch(message, b"\xF0\xAC\x04what", &[0x0A, 0x0A]);
            }
            _ => {}
        }),
    ]
}

/// Proposals that are wrong in a list of a member's.
fn of_lists() -> Vec<Mutation> {
    vec![
        all("the committer removes itself", "C263", |at, scene, spot| {
            put(at, spot, || vec![remove(scene.hostile().leaf)]);
        }),
        all("somebody is removed twice", "C264", |at, scene, spot| {
            if let At::Proposals(list) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                list.extend([remove(leaf), remove(leaf)].map(ProposalOrRef::Proposal));
            }
        }),
        all("the committer updates itself", "C262", |at, scene, spot| {
            put(at, spot, || vec![own_update(scene)])
        }),
        all("one KeyPackage is added twice", "C268", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                let again = list[0].clone();
                list.push(again);
            }
        }),
        all("one client is added by two KeyPackages", "C268", |at, scene, spot| {
            let mut again = scene.friend.clone();
            again.leaf_key = scene.other.leaf_key.clone();
            again.init_key = scene.other.init_key.clone();
            put(at, spot, || vec![add(again.key_package(&mut nothing))]);
        }),
        all("two clients are added that share an init key", "C281", |at, scene, spot| {
            let mut again = scene.other.clone();
            again.init_key = scene.friend.init_key.clone();
            put(at, spot, || vec![add(again.key_package(&mut nothing))]);
        }),
        all("two clients are added that share a leaf key", "C128", |at, scene, spot| {
            let mut again = scene.other.clone();
            again.leaf_key = scene.friend.leaf_key.clone();
            put(at, spot, || vec![add(again.key_package(&mut nothing))]);
        }),
        all("the committer is added once more", "C269", |at, scene, spot| {
            let mut again = scene.hostile().client.clone();
            again.leaf_key = scene.other.leaf_key.clone();
            again.init_key = scene.other.init_key.clone();
            put(at, spot, || vec![add(again.key_package(&mut nothing))]);
        }),
        all("one pre-shared key twice", "C270", |at, _, spot| put(at, spot, || vec![psk(32), psk(32)])),
        all("a pre-shared key that nobody has", "C308", |at, _, spot| put(at, spot, || vec![other_psk()])),
        all("a resumption key of no epoch", "C175", |at, scene, spot| {
            put_one(at, spot, || {
                [1 << 40, u64::MAX]
                    .map(|epoch| resumption(scene, ResumptionPskUsage::Application, epoch))
                    .to_vec()
            });
        }),
        all("two sets of group extensions", "C271", |at, _, spot| {
            put(at, spot, || {
                let none = Proposal::GroupContextExtensions(GroupContextExtensions {
                    extensions: Extensions::new(),
                });
                vec![none.clone(), none]
            });
        }),
        all("a group extension that others lack", "C252", |at, _, spot| {
            put(at, spot, || vec![gce(KNOWN_EXTENSION, vec![])]);
        }),
        all("capabilities are required that others lack", "C251", |at, _, spot| {
            put_one(at, spot, || {
                let default = RequiredCapabilities::default;
                let credential = hushwood::credential::CredentialType(0xF0A1);
                vec![
                    requires(&RequiredCapabilities { extension_types: vec![KNOWN_EXTENSION], ..default() }),
                    requires(&RequiredCapabilities { proposal_types: vec![KNOWN_PROPOSAL], ..default() }),
                    requires(&RequiredCapabilities { credential_types: vec![credential], ..default() }),
                ]
            });
        }),
        all("a reinitialisation beside something else", "C272", |at, _, spot| {
            put(at, spot, || vec![reinit(1)])
        }),
        all("two reinitialisations", "C272", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                *list = [reinit(1), reinit(1)].map(ProposalOrRef::Proposal).to_vec();
            }
        }),
        all("an ExternalInit beside something else", "C274", |at, _, spot| {
            put(at, spot, || vec![Proposal::ExternalInit(ExternalInit { kem_output: vec![1; 32] })]);
        }),
        all("a proposal of a type that others lack", "C275", |at, _, spot| {
            put(at, spot, || vec![Proposal::Custom { proposal_type: KNOWN_PROPOSAL, data: vec![1] }]);
        }),
        all("a reference to nothing", "C293", |at, _, spot| {
            if let At::Proposals(list) = at
                && let Some(length) = spot.one_of(&[0, 16, 32, 64])
            {
                list.push(ProposalOrRef::Reference(HashReference(vec![9; length])));
            }
        }),
        all("a new extension that the newcomer lacks", "C279", |at, scene, spot| {
            // All members have basic credentials; the newcomer says that it does not know them.
            let mut required = RequiredCapabilities::default();
            required.credential_types.push(hushwood::credential::CredentialType::BASIC);
            required.extension_types.push(ExtensionType::LAST_RESORT_KEY_PACKAGE);
            if let At::Proposals(list) = at
                && spot.once()
            {
                let lacking = scene.other.key_package(&mut |at: At<'_>| {
                    if let At::Leaf(leaf) = at {
                        leaf.capabilities.extensions.clear();
                    }
                });
                list.extend([requires(&required), add(lacking)].map(ProposalOrRef::Proposal));
            }
        }),
        all("in what is sent, another list than was applied", "C137", |at, scene, spot| {
            if let At::Applied(tree) = at
                && spot.once()
            {
                // Nothing but the leaf of the newcomer: its place is as it was.
                let newcomer = scene.friend.signer.signature_public();
                let is_new =
                    |leaf: &usize| tree.leaf(*leaf).is_some_and(|leaf| leaf.signature_key == newcomer);
                let last = tree.members().into_iter().find(is_new).expect("it was added");
                if let Some(hushwood::tree::Node::Leaf(leaf)) = &mut tree.nodes[2 * last] {
                    leaf.signature.push(1);
                }
            }
        }),
    ]
}

/// What needs a path and has none.
fn pathless() -> Vec<Mutation> {
    vec![
        all("nothing at all, without path", "C296", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.clear();
            }
        }),
        all("a Remove without path", "C297", |at, scene, spot| {
            if let At::Proposals(list) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                list.push(ProposalOrRef::Proposal(remove(leaf)));
            }
        }),
        all("group extensions without path", "C297", |at, _, spot| {
            put(at, spot, || {
                vec![Proposal::GroupContextExtensions(GroupContextExtensions {
                    extensions: Extensions::new(),
                })]
            });
        }),
    ]
}

/// What is wrong with a list because of what it names.
fn references() -> Vec<Mutation> {
    vec![
        all("one reference twice", "C295", |at, scene, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.push(named(scene, "update"));
            }
        }),
        all("two Updates of one member", "C265", |at, scene, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.push(named(scene, "second update"));
            }
        }),
        all("an Update and a Remove of one member", "C266", |at, scene, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                let updated = scene.waiting.honest[0].leaf();
                list.push(ProposalOrRef::Proposal(remove(usize::try_from(updated.number()).unwrap())));
            }
        }),
        all("the committer's own Update, by reference", "C262", |at, scene, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.push(named(scene, "own update"));
            }
        }),
        all("a Remove of the committer, by reference", "C318", |at, scene, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.push(named(scene, "removal"));
            }
        }),
        all("a reference with a bit flipped", "C293", |at, scene, spot| {
            if let At::Proposals(list) = at
                && let Some(at) = spot.choice(32)
            {
                let mut reference = scene.references["update"].clone();
                reference[at] ^= 1;
                *list = vec![ProposalOrRef::Reference(HashReference(reference))];
            }
        }),
        all("a reference cut short", "C293", |at, scene, spot| {
            if let At::Proposals(list) = at
                && let Some(length) = spot.one_of(&[0, 1, 31])
            {
                let reference = scene.references["update"][..length].to_vec();
                *list = vec![ProposalOrRef::Reference(HashReference(reference))];
            }
        }),
        all("the hash of the proposal without what is around it", "C042", |at, scene, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                let (proposal, _) = &scene.waiting.hostile.proposals[&scene.references["update"]];
                let proposal = proposal.to_bytes().expect("it is short");
                let suite = scene.hostile().client.suite;
                let reference =
                    crate::literal::crypto::reference(suite, "MLS 1.0 Proposal Reference", &proposal);
                *list = vec![ProposalOrRef::Reference(HashReference(reference))];
            }
        }),
    ]
}
