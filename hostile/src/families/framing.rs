//! RFC 9420 §6: who has sent it, for which group and epoch, under which signature and tags. And §8, §12.4.2: what the
//! key schedule is fed with.

use hushwood::framing::{Content, Sender, WireFormat};
use hushwood_crypto::CipherSuiteId;

use crate::at::{At, Tamper};
use crate::literal::crypto::sign;
use crate::literal::framing::tbs;
use crate::member::{Plan, index};
use crate::mutation::{Family, Mutation, NO_LEAVES, To, all, flip, other_length};
use crate::scene::{Scene, add, remove};

/// The families of this file.
pub fn families() -> Vec<Family> {
    vec![
        Family { name: "commit", to: To::Members, build: commit, mutations: [framing(), commits()].concat() },
        Family {
            name: "proposal",
            to: To::Members,
            build: proposal,
            mutations: [framing(), of_proposals()].concat(),
        },
        Family { name: "schedule", to: To::Members, build: commit, mutations: schedule() },
        Family { name: "schedule with key", to: To::Members, build: commit_with_key, mutations: keys() },
    ]
}

fn commit(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    scene.hostile().commit(&Plan::of(vec![]), &mut scene.random(), tamper).message
}

/// A commit without a path, of an external pre-shared key and somebody new.
fn commit_with_key(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let key_package = scene.friend.key_package(&mut crate::nothing);
    let plan = Plan { path: false, ..Plan::of(vec![add(key_package), super::lists::psk(32)]) };
    scene.hostile().commit(&plan, &mut scene.random(), tamper).message
}

/// A Remove of an honest member, proposed in the open.
fn proposal(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content = Content::Proposal(remove(scene.plain.others()[0]));
    scene.hostile().send(content, (WireFormat::PUBLIC_MESSAGE, 0), &mut scene.random(), tamper)
}

/// What can be wrong with any PublicMessage of a member.
fn framing() -> Vec<Mutation> {
    vec![
        all("membership tag, one bit", "C082", |at, _, spot| {
            if let At::MembershipTag(Some(tag)) = at {
                flip(tag, spot);
            }
        }),
        all("membership tag, other length", "C082", |at, _, spot| {
            if let At::MembershipTag(Some(tag)) = at {
                other_length(tag, spot);
            }
        }),
        all("membership tag absent", "C081", |at, _, spot| {
            if let At::MembershipTag(tag) = at
                && spot.once()
            {
                *tag = None;
            }
        }),
        all("signed as if it were encrypted", "C078", |at, scene, spot| {
            if let At::Reframe(content, signature) = at
                && spot.once()
            {
                let hostile = scene.hostile();
                let tbs = tbs(WireFormat::PRIVATE_MESSAGE, content, &hostile.encoded_context());
                *signature = sign(hostile.client.suite, &hostile.client.signer, "FramedContentTBS", &tbs);
            }
        }),
        all("membership tag of the confirmation key", "C082", |at, scene, spot| {
            if let At::MembershipTag(Some(tag)) = at
                && spot.once()
            {
                let epoch = &scene.hostile().epoch;
                *tag = epoch.tag(scene.hostile().client.suite, b"");
            }
        }),
        all("signature, one bit", "C068", |at, _, spot| {
            if let At::Auth(auth) = at {
                flip(&mut auth.signature, spot);
            }
        }),
        all("signature, other length", "C068", |at, _, spot| {
            if let At::Auth(auth) = at {
                other_length(&mut auth.signature, spot);
            }
        }),
        all("signed by somebody else", "C068", |at, scene, spot| {
            if let At::Signer(key) = at
                && spot.once()
            {
                *key = scene.friend.signer.clone();
            }
        }),
        all("signed for another context", "C079", |at, _, spot| {
            if let At::Tbs(context) = at {
                flip(context, spot);
            }
        }),
        all("signed without the context", "C079", |at, _, spot| {
            if let At::Tbs(context) = at
                && spot.once()
            {
                context.clear();
            }
        }),
        all("in the name of another member", "C068", |at, scene, spot| {
            if let At::Content(content) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                content.sender = Sender::Member(index(leaf));
            }
        }),
        all("in the name of nobody", "C067", |at, scene, spot| {
            if let At::Content(content) = at {
                let width = scene.hostile().tree.width();
                let blank = (0..width).filter(|leaf| scene.hostile().tree.leaf(*leaf).is_none());
                let mut leaves: Vec<_> = blank.map(index).collect();
                leaves.extend(NO_LEAVES.map(hushwood::tree::LeafIndex::new));
                leaves.push(index(width));
                if let Some(leaf) = spot.one_of(&leaves) {
                    content.sender = Sender::Member(leaf);
                }
            }
        }),
        all("of another epoch", "C064", |at, scene, spot| {
            if let At::Content(content) = at {
                let epoch = scene.hostile().context.epoch;
                let others = [0, epoch - 1, epoch + 1, 1 << 32, u64::MAX - 1, u64::MAX];
                if let Some(epoch) = spot.one_of(&others) {
                    content.epoch = epoch;
                }
            }
        }),
        all("of another group", "C063", |at, _, spot| {
            if let At::Content(content) = at
                && let Some(choice) = spot.choice(3)
            {
                match choice {
                    0 => content.group_id.clear(),
                    1 => content.group_id.push(0),
                    _ => content.group_id[0] ^= 1,
                }
            }
        }),
        all("authenticated data changed after it was signed", "C083", |at, _, spot| {
            if let At::Authenticated(message) = at
                && spot.once()
            {
                message.content.authenticated_data.push(1);
            }
        }),
        all("bytes behind it", "C012", |at, _, spot| {
            if let At::Message(message) = at
                && let Some(more) = spot.choice(3)
            {
                message.extend(vec![0; more + 1]);
            }
        }),
        all("cut short", "C011", |at, _, spot| {
            if let At::Message(message) = at
                && let Some(less) = spot.choice(3)
            {
                message.truncate(message.len() - 1 - less);
            }
        }),
        all("another version", "C021", |at, _, spot| {
            if let At::Message(message) = at
                && let Some(version) = spot.one_of(&[0_u8, 2, 255])
            {
                message[1] = version;
            }
        }),
        all("another wire format", "C022", |at, _, spot| {
            if let At::Message(message) = at
                && let Some(format) = spot.one_of(&[0_u8, 6, 255])
            {
                message[3] = format;
            }
        }),
        all("a sender of no type", "C016", |at, scene, spot| {
            if let At::Message(message) = at
                && let Some(sender) = spot.one_of(&[0_u8, 5, 255])
            {
                let at = sender_at(message, scene);
                message[at] = sender;
            }
        }),
        all("content of no type", "C015", |at, scene, spot| {
            if let At::Message(message) = at
                && let Some(content) = spot.one_of(&[0_u8, 4, 255])
            {
                // The type of the sender, its leaf, no authenticated data.
                let at = sender_at(message, scene) + 6;
                message[at] = content;
            }
        }),
    ]
}

fn sender_at(message: &[u8], scene: &Scene) -> usize {
    // Version and wire format, the group's id, the epoch.
    let group_id = &scene.hostile().context.group_id;
    assert_eq!(&message[5..5 + group_id.len()], &group_id[..]);
    5 + group_id.len() + 8
}

/// What can be wrong with a commit of a member.
fn commits() -> Vec<Mutation> {
    vec![
        all("confirmation tag, one bit", "C313", |at, _, spot| {
            if let At::ConfirmationTag(Some(tag)) = at {
                flip(tag, spot);
            }
        }),
        all("confirmation tag, other length", "C313", |at, _, spot| {
            if let At::ConfirmationTag(Some(tag)) = at {
                other_length(tag, spot);
            }
        }),
        all("confirmation tag absent", "C081", |at, _, spot| {
            if let At::ConfirmationTag(tag) = at
                && spot.once()
            {
                *tag = None;
            }
        }),
        all("confirmation tag of the epoch before", "C313", |at, scene, spot| {
            if let At::ConfirmationTag(tag) = at
                && spot.once()
            {
                *tag = Some(scene.hostile().confirmation_tag.clone());
            }
        }),
        all("a commit of an external sender", "C071", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.sender = Sender::External(0);
            }
        }),
        all("a commit of one who proposes itself", "C075", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.sender = Sender::NewMemberProposal;
            }
        }),
        all("a member's commit as if from outside", "C354", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.sender = Sender::NewMemberCommit;
            }
        }),
        all("its path taken out after it was signed", "C068", |at, _, spot| {
            if let At::Authenticated(message) = at
                && let Content::Commit(commit) = &mut message.content.content
                && spot.once()
            {
                commit.path = None;
            }
        }),
        all("a proposal put in after it was signed", "C307", |at, _, spot| {
            if let At::Authenticated(message) = at
                && let Content::Commit(commit) = &mut message.content.content
                && spot.once()
            {
                commit.proposals.push(hushwood::commit::ProposalOrRef::Proposal(remove(0)));
            }
        }),
    ]
}

/// What can be wrong with a proposal's framing alone.
fn of_proposals() -> Vec<Mutation> {
    vec![
        all("application data in the open", "C060", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.content = Content::Application(b"hello".to_vec());
            }
        }),
        all("of an external sender, where there is none", "C069", |at, _, spot| {
            if let At::Content(content) = at
                && let Some(number) = spot.one_of(&[0, 1, u32::MAX])
            {
                content.sender = Sender::External(number);
                content.content = Content::Proposal(remove(0));
            }
        }),
        all("of a new member that proposes something else", "C075", |at, _, spot| {
            if let At::Content(content) = at
                && spot.once()
            {
                content.sender = Sender::NewMemberProposal;
                content.content = Content::Proposal(remove(0));
            }
        }),
        all("a proposal with a confirmation tag", "C081", |at, _, spot| {
            if let At::Authenticated(message) = at
                && spot.once()
            {
                message.auth.confirmation_tag = Some(vec![1; 32]);
            }
        }),
        all("another proposal than was signed", "C240", |at, scene, spot| {
            if let At::Authenticated(message) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                // The first of them is who was to be removed.
                if leaf != scene.plain.others()[0] {
                    message.content.content = Content::Proposal(remove(leaf));
                } else {
                    message.content.content = Content::Proposal(super::lists::psk(32));
                }
            }
        }),
    ]
}

/// What goes into the next epoch's keys, otherwise than the message says.
fn schedule() -> Vec<Mutation> {
    vec![
        all("another init secret", "C313", |at, _, spot| {
            if let At::Inputs(init, ..) = at {
                flip(init, spot);
            }
        }),
        all("another commit secret", "C313", |at, _, spot| {
            if let At::Inputs(_, commit, _) = at {
                flip(commit, spot);
            }
        }),
        all("no commit secret where there is a path", "C313", |at, _, spot| {
            if let At::Inputs(_, commit, _) = at
                && spot.once()
            {
                commit.fill(0);
            }
        }),
        all("a PSK secret where there is none", "C313", |at, _, spot| {
            if let At::Inputs(_, _, psk) = at {
                flip(psk, spot);
            }
        }),
        all("another epoch for the keys", "C313", |at, _, spot| {
            if let At::Next(context) = at
                && let Some(epoch) = spot.one_of(&[0, 1, u64::MAX])
            {
                context.epoch = if epoch == 1 { context.epoch + 1 } else { epoch };
            }
        }),
        all("another group for the keys", "C313", |at, _, spot| {
            if let At::Next(context) = at
                && spot.once()
            {
                context.group_id.push(1);
            }
        }),
        all("another tree for the keys", "C313", |at, _, spot| {
            if let At::Next(context) = at {
                flip(&mut context.tree_hash, spot);
            }
        }),
        all("another transcript", "C313", |at, _, spot| {
            if let At::Next(context) = at {
                flip(&mut context.confirmed_transcript_hash, spot);
            }
        }),
        all("another suite for the keys", "C313", |at, _, spot| {
            if let At::Next(context) = at
                && spot.once()
            {
                context.cipher_suite = CipherSuiteId(3);
            }
        }),
        all("extensions that nobody has proposed", "C313", |at, _, spot| {
            if let At::Next(context) = at
                && spot.once()
            {
                context.extensions.set(crate::member::KNOWN_EXTENSION, vec![]);
            }
        }),
    ]
}

/// The same for a commit without a path, with a pre-shared key.
fn keys() -> Vec<Mutation> {
    vec![
        all("another key of that name", "C313", |at, _, spot| {
            if let At::Inputs(_, _, psk) = at
                && spot.once()
            {
                psk[0] ^= 1;
            }
        }),
        all("no PSK secret", "C313", |at, _, spot| {
            if let At::Inputs(_, _, psk) = at
                && spot.once()
            {
                psk.fill(0);
            }
        }),
        all("a commit secret where there is no path", "C313", |at, _, spot| {
            if let At::Inputs(_, commit, _) = at
                && spot.once()
            {
                commit[0] = 1;
            }
        }),
        all("a key that nobody else has", "C308", |at, _, spot| {
            if let At::Proposals(proposals) = at
                && spot.once()
            {
                proposals.push(hushwood::commit::ProposalOrRef::Proposal(super::lists::other_psk()));
            }
        }),
        all("a tree without the newcomer", "C313", |at, _, spot| {
            if let At::Tree(tree) = at
                && spot.once()
            {
                let last = *tree.members().last().expect("members");
                tree.remove(last);
            }
        }),
    ]
}
