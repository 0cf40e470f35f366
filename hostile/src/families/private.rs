//! RFC 9420 §6.3, §9: encrypted messages.

use hushwood::framing::{Content, ContentType, WireFormat};
use hushwood::tree::LeafIndex;

use crate::at::{At, Tamper};
use crate::member::{Plan, index};
use crate::mutation::{Family, Mutation, NO_LEAVES, To, all, flip, other_length};
use crate::scene::{Scene, remove};

/// The families of this file.
pub fn families() -> Vec<Family> {
    let both = [encrypted(), handshakes()].concat();
    vec![
        Family { name: "private commit", to: To::Members, build: commit, mutations: both.clone() },
        Family { name: "private proposal", to: To::Members, build: proposal, mutations: both },
        Family {
            name: "application data",
            to: To::Members,
            build: application,
            mutations: [encrypted(), data()].concat(),
        },
    ]
}

fn commit(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let plan = Plan { encrypt: true, ..Plan::of(vec![]) };
    scene.hostile().commit(&plan, &mut scene.random(), tamper).message
}

fn proposal(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content = Content::Proposal(remove(scene.plain.others()[0]));
    scene.hostile().send(content, (WireFormat::PRIVATE_MESSAGE, 3), &mut scene.random(), tamper)
}

fn application(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content =
        Content::Application(b"what the hostile member says in a message that is long enough".to_vec());
    scene.hostile().send(content, (WireFormat::PRIVATE_MESSAGE, 7), &mut scene.random(), tamper)
}

/// What can be wrong with any PrivateMessage.
fn encrypted() -> Vec<Mutation> {
    vec![
        all("padding that is not zero", "C084", |at, _, spot| {
            if let At::Plain(plain) = at
                && let Some(place) = spot.choice(7)
            {
                let end = plain.len() - 1;
                plain[end - place] = 1 << place;
            }
        }),
        all("content cut short", "C011", |at, _, spot| {
            if let At::Plain(plain) = at
                && let Some(left) = spot.one_of(&[0, 1, 20])
            {
                plain.truncate(left);
            }
        }),
        all("in the name of another member, under its keys", "C090", |at, scene, spot| {
            if let At::SenderData(data) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                data.leaf_index = index(leaf);
                // Who is named takes it for its own.
                spot.instead = Some((leaf, "C098"));
            }
        }),
        all("in the name of another member, far ahead", "C090", |at, scene, spot| {
            if let At::SenderData(data) = at
                && let Some(leaf) = spot.one_of(&scene.plain.others())
            {
                data.leaf_index = index(leaf);
                spot.instead = Some((leaf, "C098"));
                data.generation = 900;
            }
        }),
        all("in the name of nobody", "C095", |at, scene, spot| {
            if let At::SenderData(data) = at {
                let tree = &scene.hostile().tree;
                let blank = (0..=tree.width()).filter(|leaf| tree.leaf(*leaf).is_none()).map(index);
                let nobody: Vec<_> = blank.chain(NO_LEAVES.map(LeafIndex::new)).collect();
                if let Some(leaf) = spot.one_of(&nobody) {
                    data.leaf_index = leaf;
                }
            }
        }),
        all("too far ahead", "C191", |at, _, spot| {
            if let At::SenderData(data) = at
                && let Some(generation) = spot.one_of(&[1500, 4000, 1 << 31, u32::MAX])
            {
                data.generation = generation;
            }
        }),
        all("sender data, one bit", "C096", |at, _, spot| {
            if let At::PrivateSealed(message) = at {
                flip(&mut message.encrypted_sender_data, spot);
            }
        }),
        all("sender data of another length", "C096", |at, _, spot| {
            if let At::PrivateSealed(message) = at {
                other_length(&mut message.encrypted_sender_data, spot);
            }
        }),
        all("the part of the ciphertext that sender data depends on, one bit", "C096", |at, _, spot| {
            if let At::PrivateSealed(message) = at
                && let Some(place) = spot.choice(32)
            {
                message.ciphertext[place] ^= 1;
            }
        }),
        all("the rest of the ciphertext, one bit", "C089", |at, _, spot| {
            if let At::PrivateSealed(message) = at {
                let end = message.ciphertext.len().min(32 + 120);
                flip(&mut message.ciphertext[32..end], spot);
            }
        }),
        all("a ciphertext that is longer", "C089", |at, _, spot| {
            if let At::PrivateSealed(message) = at
                && spot.once()
            {
                message.ciphertext.push(0);
            }
        }),
        all("other authenticated data than was encrypted with", "C089", |at, _, spot| {
            if let At::PrivateSealed(message) = at
                && spot.once()
            {
                message.authenticated_data.push(1);
            }
        }),
        all("other authenticated data than was signed", "C090", |at, _, spot| {
            if let At::Private(message) = at
                && spot.once()
            {
                message.authenticated_data.push(1);
            }
        }),
        all("of another group", "C063", |at, _, spot| {
            if let At::PrivateSealed(message) = at
                && spot.once()
            {
                message.group_id[0] ^= 1;
            }
        }),
        all("of an epoch to come", "C064", |at, _, spot| {
            if let At::PrivateSealed(message) = at
                && let Some(more) = spot.one_of(&[1, 1 << 40])
            {
                message.epoch += more;
            }
        }),
        all("signature, one bit", "C090", |at, _, spot| {
            if let At::Auth(auth) = at {
                flip(&mut auth.signature, spot);
            }
        }),
        all("signature of another length", "C090", |at, _, spot| {
            if let At::Auth(auth) = at {
                other_length(&mut auth.signature, spot);
            }
        }),
        all("signed by somebody else", "C090", |at, scene, spot| {
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
        all("signed as if it were in the open", "C078", |at, scene, spot| {
            if let At::Reframe(content, signature) = at
                && spot.once()
            {
                let hostile = scene.hostile();
                let tbs = crate::literal::framing::tbs(
                    WireFormat::PUBLIC_MESSAGE,
                    content,
                    &hostile.encoded_context(),
                );
                let (suite, key) = (hostile.client.suite, &hostile.client.signer);
                *signature = crate::literal::crypto::sign(suite, key, "FramedContentTBS", &tbs);
            }
        }),
        all("content of no type", "C015", |at, scene, spot| {
            if let At::Message(message) = at
                && let Some(content) = spot.one_of(&[0_u8, 4, 255])
            {
                let at = 5 + scene.hostile().context.group_id.len() + 8;
                message[at] = content;
            }
        }),
    ]
}

/// What can be wrong with an encrypted proposal or commit.
fn handshakes() -> Vec<Mutation> {
    vec![
        all("of an epoch that is over", "C064", |at, scene, spot| {
            if let At::PrivateSealed(message) = at
                && let Some(choice) = spot.choice(2)
            {
                message.epoch = if choice == 0 { 0 } else { scene.hostile().context.epoch - 1 };
            }
        }),
        all("another type of content outside", "C094", |at, _, spot| {
            if let At::PrivateSealed(message) = at
                && spot.once()
            {
                message.content_type = match message.content_type {
                    ContentType::Commit => ContentType::Proposal,
                    _ => ContentType::Commit,
                };
            }
        }),
    ]
}

/// What can be wrong with application data.
fn data() -> Vec<Mutation> {
    vec![all("another type of content outside", "C094", |at, _, spot| {
        if let At::PrivateSealed(message) = at
            && let Some(choice) = spot.choice(2)
        {
            message.content_type = if choice == 0 { ContentType::Proposal } else { ContentType::Commit };
        }
    })]
}
