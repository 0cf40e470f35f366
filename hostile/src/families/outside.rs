//! RFC 9420 §12.1.8, §12.4.3.2: those who come from outside, and mean harm.

use hushwood::commit::ProposalOrRef;
use hushwood::framing::{Content, Sender};
use hushwood::proposal::{ExternalInit, GroupContextExtensions, Proposal, ProposalType};
use hushwood::schedule::ResumptionPskUsage;
use hushwood_crypto::HashReference;
use test_support::random::SeededRandom;

use crate::at::{At, Tamper, nothing};
use crate::literal::crypto::{Key, external_init, sign};
use crate::literal::framing::tbs;
use crate::member::{KNOWN_PROPOSAL, Plan, index};
use crate::mutation::{Family, Mutation, NO_LEAVES, Spot, To, all, flip, other_length};
use crate::scene::{Scene, add, remove};

/// The families of this file.
pub fn families() -> Vec<Family> {
    let leaf = super::leaves::any().into_iter().filter(not_of_a_member);
    let path = super::leaves::of_a_path().into_iter().filter(|mutation| {
        mutation.row != "C319"
            && mutation.name != "the parent hash that it had before"
            && mutation.name != "the leaf signed for another place"
    });
    let joined: Vec<_> = leaf.chain(path).collect();
    vec![
        Family {
            name: "external commit",
            to: To::Members,
            build: external_commit,
            mutations: [external_commits(), joined].concat(),
        },
        Family {
            name: "external commit in place of a member",
            to: To::Members,
            build: resync,
            mutations: resyncs(),
        },
        Family {
            name: "external proposal",
            to: To::Open,
            build: external_proposal,
            mutations: external_proposals(),
        },
        Family {
            name: "proposal of a newcomer",
            to: To::Members,
            build: new_member_proposal,
            mutations: new_members(),
        },
    ]
}

/// What leaves of members are wrong by is in the path of a commit of theirs.
fn not_of_a_member(mutation: &Mutation) -> bool {
    let of_members = ["its signature key is no key", super::leaves::SOMEBODY_ELSES];
    mutation.row != "C038" && !of_members.contains(&mutation.name)
}

/// The hostile member's friend joins.
fn external_commit(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let outside = scene.friend.outside(&scene.group_info);
    outside.external_commit(&Plan::of(vec![]), &mut scene.random(), tamper).message
}

/// The hostile member joins in its own place, once more.
fn resync(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let outside = scene.hostile().client.outside(&scene.group_info);
    let plan = Plan::of(vec![remove(scene.hostile().leaf)]);
    outside.external_commit(&plan, &mut scene.random(), tamper).message
}

fn external_proposal(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content = Content::Proposal(remove(scene.open.hostile.leaf));
    as_sender(&scene.open.hostile, (Sender::External(0), scene.sender.signer.clone()), content, scene, tamper)
}

fn new_member_proposal(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content = Content::Proposal(add(scene.friend.key_package(&mut nothing)));
    as_sender(
        scene.hostile(),
        (Sender::NewMemberProposal, scene.friend.signer.clone()),
        content,
        scene,
        tamper,
    )
}

/// A message of somebody who is no member, signed with this key.
fn as_sender(
    group: &crate::Member,
    (sender, key): (Sender, Key),
    content: Content,
    scene: &Scene,
    tamper: Tamper<'_>,
) -> Vec<u8> {
    let mut outside = group.clone();
    outside.client.signer = key;
    let format = hushwood::framing::WireFormat::PUBLIC_MESSAGE;
    let message = outside.signed(sender, content, format, tamper);
    outside.protected(message, 0, &mut scene.random(), tamper)
}

fn more(at: At<'_>, spot: &mut Spot, proposals: impl FnOnce() -> Vec<Proposal>) {
    if let At::Proposals(list) = at
        && spot.once()
    {
        list.extend(proposals().into_iter().map(ProposalOrRef::Proposal));
    }
}

/// What is wrong with an external commit.
fn external_commits() -> Vec<Mutation> {
    vec![
        all("no path", "C352", |at, _, spot| {
            if let At::Content(content) = at
                && let Content::Commit(commit) = &mut content.content
                && spot.once()
            {
                commit.path = None;
            }
        }),
        all("no ExternalInit", "C354", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.clear();
            }
        }),
        all("two ExternalInits", "C354", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                let again = list[0].clone();
                list.push(again);
            }
        }),
        all("two Removes", "C355", |at, scene, spot| {
            let mut members = scene.plain.hostile.tree.members();
            members.truncate(2);
            more(at, spot, || members.into_iter().map(remove).collect());
        }),
        all("an Add", "C356", |at, scene, spot| {
            more(at, spot, || vec![add(scene.other.key_package(&mut nothing))]);
        }),
        all("an Update", "C356", |at, scene, spot| {
            let (proposal, _) = &scene.waiting.hostile.proposals[&scene.references["own update"]];
            more(at, spot, || vec![proposal.clone()]);
        }),
        all("group extensions", "C356", |at, _, spot| {
            more(at, spot, || {
                let extensions = hushwood::extension::Extensions::new();
                vec![Proposal::GroupContextExtensions(GroupContextExtensions { extensions })]
            });
        }),
        all("a reinitialisation", "C356", |at, _, spot| more(at, spot, || vec![super::lists::reinit(1)])),
        all("a proposal of the application's own", "C356", |at, _, spot| {
            more(at, spot, || vec![Proposal::Custom { proposal_type: KNOWN_PROPOSAL, data: vec![] }]);
        }),
        all("a Remove of nobody", "C246", |at, _, spot| {
            if let At::Proposals(list) = at
                && let Some(removed) = spot.one_of(&NO_LEAVES)
            {
                let removed = hushwood::tree::LeafIndex::new(removed);
                list.push(ProposalOrRef::Proposal(Proposal::Remove(hushwood::proposal::Remove { removed })));
            }
        }),
        all("a reference", "C353", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.push(ProposalOrRef::Reference(HashReference(vec![1; 32])));
            }
        }),
        all("a resumption key for a branch", "C235", |at, scene, spot| {
            more(at, spot, || vec![super::lists::resumption(scene, ResumptionPskUsage::Branch, 1)]);
        }),
        all("a pre-shared key that nobody has", "C308", |at, _, spot| {
            more(at, spot, || vec![super::lists::other_psk()]);
        }),
        all("an encapsulation that does not decapsulate", "C169", |at, _, spot| {
            if let At::Sent(list) = at
                && let Some(ProposalOrRef::Proposal(Proposal::ExternalInit(init))) = list.first_mut()
                && let Some(length) = spot.one_of(&[0, 1, 31, 33, 64])
            {
                init.kem_output.resize(length, 1);
            }
        }),
        all("an encapsulation for another key", "C360", |at, scene, spot| {
            if let At::Sent(list) = at
                && spot.once()
            {
                let key = scene.other.init_key.hpke_public();
                let (kem_output, _) = external_init(scene.friend.suite, &key, &mut SeededRandom::new(8));
                list[0] = ProposalOrRef::Proposal(Proposal::ExternalInit(ExternalInit { kem_output }));
            }
        }),
        all("the init secret of the epoch before", "C360", |at, scene, spot| {
            // Who joins does not have it; the member whose friend it is has.
            if let At::Inputs(init, ..) = at
                && spot.once()
            {
                init.clone_from(&scene.hostile().epoch.init);
            }
        }),
        all("signed by somebody else", "C358", |at, scene, spot| {
            if let At::Signer(key) = at
                && let Some(choice) = spot.choice(2)
            {
                *key = if choice == 0 { &scene.other } else { &scene.hostile().client }.signer.clone();
            }
        }),
        all("signature, one bit", "C358", |at, _, spot| {
            if let At::Auth(auth) = at {
                flip(&mut auth.signature, spot);
            }
        }),
        all("signature of another length", "C358", |at, _, spot| {
            if let At::Auth(auth) = at {
                other_length(&mut auth.signature, spot);
            }
        }),
        all("signed without the context", "C079", |at, _, spot| {
            if let At::Tbs(context) = at
                && spot.once()
            {
                context.clear();
            }
        }),
        all("a membership tag", "C365", |at, _, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.push(32);
                message.extend([1; 32]);
            }
        }),
        all("a proposal in place of the commit", "C359", |at, scene, spot| match at {
            At::Content(content) if spot.once() => {
                content.content = Content::Proposal(remove(scene.plain.others()[0]));
            }
            At::Authenticated(message) if spot.hit => message.auth.confirmation_tag = None,
            _ => {}
        }),
        all("of another epoch", "C064", |at, scene, spot| {
            if let At::Content(content) = at {
                let epoch = scene.hostile().context.epoch;
                if let Some(epoch) = spot.one_of(&[0, epoch - 1, epoch + 1, u64::MAX]) {
                    content.epoch = epoch;
                }
            }
        }),
        all("confirmation tag, one bit", "C313", |at, _, spot| {
            if let At::ConfirmationTag(Some(tag)) = at {
                flip(tag, spot);
            }
        }),
        all("the newcomer's leaf has a member's key", "C310", |at, scene, spot| {
            if let At::Path(leaf, _) = at
                && let Some(member) = spot.one_of(&scene.hostile().tree.members())
            {
                let key = scene.hostile().tree.leaf(member).expect("a member").encryption_key.clone();
                *leaf = Key { private: vec![], public: key.0 };
            }
        }),
        all("the newcomer has the hostile member's signature key", "C364", |at, scene, spot| match at {
            At::Leaf(leaf) if spot.once() => {
                leaf.signature_key = scene.hostile().client.signer.signature_public();
            }
            At::LeafSigned(leaf) if spot.hit => {
                let tree = &scene.hostile().tree;
                let place = (0..tree.width()).find(|leaf| tree.leaf(*leaf).is_none()).unwrap_or(tree.width());
                let tbs =
                    crate::member::leaf_tbs(leaf, &scene.hostile().context.group_id, index(place).number());
                let client = &scene.hostile().client;
                leaf.signature = sign(client.suite, &client.signer, "LeafNodeTBS", &tbs);
            }
            At::Signer(key) if spot.hit => *key = scene.hostile().client.signer.clone(),
            _ => {}
        }),
    ]
}

/// What is wrong with an external commit that takes the place of a leaf.
fn resyncs() -> Vec<Mutation> {
    vec![
        all("without removing the old leaf", "C364", |at, _, spot| {
            if let At::Proposals(list) = at
                && spot.once()
            {
                list.pop();
            }
        }),
        all("with the key of the old leaf", "C357", |at, scene, spot| {
            if let At::Path(leaf, _) = at
                && spot.once()
            {
                *leaf = scene.hostile().private[&(2 * scene.hostile().leaf)].clone();
            }
        }),
        all("removing somebody else too", "C355", |at, scene, spot| {
            if let At::Proposals(list) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                list.push(ProposalOrRef::Proposal(remove(leaf)));
            }
        }),
        all("removing somebody else instead", "C364", |at, scene, spot| {
            if let At::Proposals(list) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                list[1] = ProposalOrRef::Proposal(remove(leaf));
            }
        }),
    ]
}

/// What is wrong with a proposal from outside.
fn external_proposals() -> Vec<Mutation> {
    vec![
        all("of a sender that is not listed", "C070", |at, _, spot| {
            if let At::Content(content) = at
                && let Some(number) = spot.one_of(&[1, 2, 1 << 31, u32::MAX])
            {
                content.sender = Sender::External(number);
            }
        }),
        all("signed by somebody else", "C070", |at, scene, spot| {
            if let At::Signer(key) = at
                && let Some(choice) = spot.choice(2)
            {
                *key = if choice == 0 { &scene.other } else { &scene.hostile().client }.signer.clone();
            }
        }),
        all("signature, one bit", "C070", |at, _, spot| {
            if let At::Auth(auth) = at {
                flip(&mut auth.signature, spot);
            }
        }),
        all("signed with the context of members", "C070", |at, scene, spot| {
            if let At::Reframe(content, signature) = at
                && spot.once()
            {
                let format = hushwood::framing::WireFormat::PUBLIC_MESSAGE;
                let mut all = tbs(format, content, b"");
                all.extend(scene.open.hostile.encoded_context());
                *signature = sign(scene.sender.suite, &scene.sender.signer, "FramedContentTBS", &all);
            }
        }),
        all("an Update", "C072", |at, scene, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                let (update, _) = &scene.waiting.hostile.proposals[&scene.references["own update"]];
                content.content = Content::Proposal(update.clone());
            }
        }),
        all("an ExternalInit", "C072", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                let init = ExternalInit { kem_output: vec![1; 32] };
                content.content = Content::Proposal(Proposal::ExternalInit(init));
            }
        }),
        all("a proposal of the application's own", "C254", |at, _, spot| {
            if let At::Content(content) = at
                && let Some(which) = spot.one_of(&[0xF002, 0xFFFF])
            {
                let proposal = Proposal::Custom { proposal_type: ProposalType(which), data: vec![] };
                content.content = Content::Proposal(proposal);
            }
        }),
        all("a commit", "C071", |at, _, spot| match at {
            At::Content(content) if spot.once() => {
                let commit = hushwood::commit::Commit { proposals: vec![], path: None };
                content.content = Content::Commit(Box::new(commit));
            }
            At::Authenticated(message) if spot.hit => {
                message.auth.confirmation_tag = Some(vec![1; 32]);
            }
            _ => {}
        }),
        all("application data", "C060", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.content = Content::Application(b"hello".to_vec());
            }
        }),
        all("a Remove of nobody", "C246", |at, _, spot| {
            if let At::Content(content) = at
                && let Some(removed) = spot.one_of(&NO_LEAVES)
            {
                let removed = hushwood::tree::LeafIndex::new(removed);
                content.content = Content::Proposal(Proposal::Remove(hushwood::proposal::Remove { removed }));
            }
        }),
        all("of another epoch", "C064", |at, scene, spot| {
            if let At::Content(content) = at {
                let epoch = scene.open.hostile.context.epoch;
                if let Some(epoch) = spot.one_of(&[0, epoch - 1, epoch + 1]) {
                    content.epoch = epoch;
                }
            }
        }),
        all("with a membership tag", "C081", |at, _, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.push(32);
                message.extend([1; 32]);
            }
        }),
    ]
}

/// What is wrong with one who proposes itself.
fn new_members() -> Vec<Mutation> {
    vec![
        all("signed by somebody else", "C076", |at, scene, spot| {
            if let At::Signer(key) = at
                && let Some(choice) = spot.choice(2)
            {
                *key = if choice == 0 { &scene.other } else { &scene.hostile().client }.signer.clone();
            }
        }),
        all("signature, one bit", "C076", |at, _, spot| {
            if let At::Auth(auth) = at {
                flip(&mut auth.signature, spot);
            }
        }),
        all("the KeyPackage of somebody else", "C076", |at, scene, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.content = Content::Proposal(add(scene.other.key_package(&mut nothing)));
            }
        }),
        all("a Remove", "C075", |at, scene, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.content = Content::Proposal(remove(scene.plain.others()[0]));
            }
        }),
        all("a commit", "C075", |at, _, spot| match at {
            At::Content(content) if spot.once() => {
                let commit = hushwood::commit::Commit { proposals: vec![], path: None };
                content.content = Content::Commit(Box::new(commit));
            }
            At::Authenticated(message) if spot.hit => {
                message.auth.confirmation_tag = Some(vec![1; 32]);
            }
            _ => {}
        }),
        all("with a membership tag", "C081", |at, _, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.push(32);
                message.extend([1; 32]);
            }
        }),
    ]
}
