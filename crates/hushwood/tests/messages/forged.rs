//! A member who has all keys of the epoch, and seals what no honest member would.

use hushwood::codec::{Encode, Writer};
use hushwood::error::{Error, NotNow, Unsupported, Violation};
use hushwood::framing::{
    Authenticated, Content, ContentType, FramedContent, MessageKey, PrivateMessage, Sender, SenderData,
    WireFormat, sender_data_key,
};
use hushwood::secret_tree::SecretTree;
use hushwood_crypto::Secret;
use test_support::{assert_breaks, assert_names};

use crate::world::{World, commit, leaf, remove, text};
use crate::{any_suite, suites};

/// What to seal, and under which name.
struct Forgery {
    sender: u32,
    generation: u32,
    content_type: ContentType,
    plaintext: Vec<u8>,
}

impl World {
    /// Seals anything, under anybody's keys: every member can derive them.
    fn forge(&self, tree: &SecretTree, forgery: &Forgery) -> PrivateMessage {
        let Forgery { sender, generation, content_type, plaintext } = forgery;
        let leaf_index = leaf(*sender as usize);
        let key = match tree.open_key(leaf_index, *content_type, *generation, &self.policy) {
            Ok((key, _)) => key,
            // Where there is no such key, any will do.
            Err(_) => tree.open_key(leaf(0), *content_type, 0, &self.policy).unwrap().0,
        };
        let sender_data = SenderData { leaf_index, generation: *generation, reuse_guard: [0; 4] };
        self.forge_with(*content_type, plaintext, key, &sender_data.to_bytes().unwrap())
    }

    fn forge_with(
        &self,
        content_type: ContentType,
        plaintext: &[u8],
        key: MessageKey,
        sender_data: &[u8],
    ) -> PrivateMessage {
        let mut message = PrivateMessage {
            group_id: b"group".to_vec(),
            epoch: 7,
            content_type,
            authenticated_data: b"seen by all".to_vec(),
            encrypted_sender_data: Vec::new(),
            ciphertext: Vec::new(),
        };
        let mut aad = Writer::new();
        aad.opaque(&message.group_id).value(&message.epoch).value(&content_type);
        let sender_data_aad = aad.finish().unwrap();
        let mut aad = Writer::new();
        aad.raw(&sender_data_aad).opaque(&message.authenticated_data);
        let seal = |key: &MessageKey, aad: &[u8], plaintext: &[u8]| {
            self.suite.aead().seal(key.key.expose(), key.nonce.expose(), aad, plaintext).unwrap()
        };
        message.ciphertext = seal(&key, &aad.finish().unwrap(), plaintext);
        let key = sender_data_key(self.suite, &self.sender_data, &message.ciphertext).unwrap();
        message.encrypted_sender_data = seal(&key, &sender_data_aad, sender_data);
        message
    }

    /// The encoded content and auth data of a message that this member signed.
    fn plaintext(&self, member: usize, format: WireFormat, content: Content) -> Vec<u8> {
        plaintext_of(self.sign_as_member(member, format, content))
    }
}

fn plaintext_of(signed: Authenticated) -> Vec<u8> {
    let signed = signed.into_inner();
    let mut writer = Writer::new();
    match &signed.content.content {
        Content::Application(data) => writer.opaque(data),
        Content::Proposal(proposal) => writer.value(proposal),
        Content::Commit(commit) => writer.value(commit),
    };
    writer.value(&signed.auth);
    writer.finish().unwrap()
}

#[test]
fn a_sealed_message_that_is_right_is_accepted() {
    // Shows that the other tests refuse for the reason they name.
    for suite in suites() {
        let world = World::new(suite);
        let mut tree = world.tree();
        for content in [text("tea?"), remove(2), commit()] {
            let content_type = content.content_type();
            let plaintext = world.plaintext(1, WireFormat::PRIVATE_MESSAGE, content);
            for (generation, padding) in [0, 1, 100, 5000].into_iter().enumerate() {
                let plaintext = [plaintext.clone(), vec![0; padding]].concat();
                let generation = generation as u32 + if content_type == ContentType::Commit { 4 } else { 0 };
                let forgery = Forgery { sender: 1, generation, content_type, plaintext };
                let message = world.forge(&tree, &forgery);
                assert!(world.receive_private(&mut tree, message).is_ok());
            }
        }
    }
}

#[test]
fn padding_with_any_bit_set_is_refused_and_consumes_nothing() {
    let world = World::new(any_suite());
    let mut tree = world.tree();
    let plaintext = world.plaintext(1, WireFormat::PRIVATE_MESSAGE, text("tea?"));
    let forgery = |padding: Vec<u8>| Forgery {
        sender: 1,
        generation: 0,
        content_type: ContentType::Application,
        plaintext: [plaintext.clone(), padding].concat(),
    };
    for bit in 0..64 * 8 {
        let mut padding = vec![0; 64];
        padding[bit / 8] = 1 << (bit % 8);
        let message = world.forge(&tree, &forgery(padding));
        let refused = world.receive_private(&mut tree, message);
        assert_breaks!(refused.err().unwrap(), Violation::Padding, "C084");
    }
    let genuine = world.forge(&tree, &forgery(vec![0; 64]));
    assert!(world.receive_private(&mut tree, genuine).is_ok());
}

#[test]
fn a_message_forged_under_the_victims_key_does_not_consume_it() {
    for suite in suites() {
        let mut world = World::new(suite);
        let (mut sending, mut receiving) = (world.tree(), world.tree());
        // Member 2 signs with its own key and seals under generations of member 1, near and far.
        for content in [text("lies"), remove(3)] {
            let content_type = content.content_type();
            let plaintext = world.plaintext(2, WireFormat::PRIVATE_MESSAGE, content);
            for generation in [0, 1, 5, world.policy.max_forward] {
                let plaintext = plaintext.clone();
                let forgery = Forgery { sender: 1, generation, content_type, plaintext };
                let refused = world.receive_private(&mut receiving, world.forge(&sending, &forgery));
                assert_breaks!(refused.err().unwrap(), Violation::MessageSignature, "C068", "C090");
            }
        }
        for content in [text("tea?"), remove(3), text("more tea?")] {
            let sent = world.send_private(&mut sending, 1, content);
            assert!(world.receive_private(&mut receiving, sent).is_ok());
        }
    }
}

#[test]
fn a_generation_too_far_ahead_is_refused_before_anything_is_derived() {
    let world = World::new(any_suite());
    let mut tree = world.tree();
    let limit = world.policy.max_forward;
    for generation in [limit + 1, 1 << 24, u32::MAX - 1, u32::MAX] {
        let content_type = ContentType::Application;
        let forgery = Forgery { sender: 1, generation, content_type, plaintext: vec![1; 40] };
        let message = world.forge(&tree, &forgery);
        let refused = world.receive_private(&mut tree, message);
        assert_breaks!(refused.err().unwrap(), NotNow::GenerationTooFar, "C191", "C408");
    }
}

#[test]
fn a_sender_outside_the_tree_is_refused() {
    let world = World::new(any_suite());
    let mut tree = world.tree();
    for sender in [4, 5, 1 << 24, u32::MAX / 2, u32::MAX] {
        let content_type = ContentType::Application;
        let forgery = Forgery { sender, generation: 0, content_type, plaintext: vec![1; 40] };
        let message = world.forge(&tree, &forgery);
        let refused = world.receive_private(&mut tree, message);
        assert_breaks!(refused.err().unwrap(), Violation::SenderBlank, "C095");
    }
}

#[test]
fn sender_data_of_another_length_is_refused() {
    let world = World::new(any_suite());
    for length in [0, 1, 11, 13, 100] {
        let key = MessageKey { key: Secret::zero(16), nonce: Secret::zero(12) };
        let message = world.forge_with(ContentType::Application, b"anything", key, &vec![0; length]);
        let refused = message.open_sender_data(world.suite, &world.sender_data).err().unwrap();
        assert!(matches!(refused, Error::Decode(_)), "length {length}");
        if length > 12 {
            assert_names!(refused, "C014");
        }
    }
}

#[test]
fn a_signature_for_public_messages_is_not_one_for_private_messages() {
    let world = World::new(any_suite());
    let mut tree = world.tree();
    let plaintext = world.plaintext(1, WireFormat::PUBLIC_MESSAGE, remove(2));
    let forgery = Forgery { sender: 1, generation: 0, content_type: ContentType::Proposal, plaintext };
    let message = world.forge(&tree, &forgery);
    let refused = world.receive_private(&mut tree, message);
    assert_breaks!(refused.err().unwrap(), Violation::MessageSignature, "C078");
}

/// C089, C090: what stands outside is part of what is signed inside.
#[test]
fn a_content_signed_for_another_frame_is_refused() {
    let world = World::new(any_suite());
    let tree = world.tree();
    let changes: [fn(&mut FramedContent); 4] = [
        |_| (),
        |content| content.authenticated_data = b"seen by others".to_vec(),
        |content| content.group_id = b"groups".to_vec(),
        |content| content.epoch += 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut content = world.content(Sender::Member(leaf(1)), remove(2));
        change(&mut content);
        let plaintext = plaintext_of(world.sign(1, WireFormat::PRIVATE_MESSAGE, content));
        let forgery = Forgery { sender: 1, generation: 0, content_type: ContentType::Proposal, plaintext };
        match world.look_at_private(&tree, world.forge(&tree, &forgery)).err() {
            None => assert_eq!(number, 0),
            Some(refused) => {
                assert!(number > 0);
                assert_breaks!(refused, Violation::MessageSignature, "C079", "C090");
            }
        }
    }
}

#[test]
fn content_of_another_type_than_the_header_says_is_refused() {
    let world = World::new(any_suite());
    let tree = world.tree();
    for content in [text("tea?"), remove(2), commit()] {
        let inner = content.content_type();
        let plaintext = world.plaintext(1, WireFormat::PRIVATE_MESSAGE, content);
        for content_type in [ContentType::Application, ContentType::Proposal, ContentType::Commit] {
            let plaintext = plaintext.clone();
            let forgery = Forgery { sender: 1, generation: 0, content_type, plaintext };
            let looked_at = world.look_at_private(&tree, world.forge(&tree, &forgery));
            assert_eq!(looked_at.is_ok(), content_type == inner);
        }
    }
    // C097: what reads well as the other type was signed as its own.
    let signed = world.sign_as_member(1, WireFormat::PRIVATE_MESSAGE, remove(2)).into_inner();
    let Content::Proposal(proposal) = &signed.content.content else { panic!("no proposal") };
    let mut plaintext = Writer::new();
    plaintext.opaque(&proposal.to_bytes().unwrap()).value(&signed.auth);
    let plaintext = plaintext.finish().unwrap();
    let forgery = Forgery { sender: 1, generation: 0, content_type: ContentType::Application, plaintext };
    let refused = world.look_at_private(&tree, world.forge(&tree, &forgery)).err().unwrap();
    assert_breaks!(refused, Violation::MessageSignature, "C097");
}

#[test]
fn plaintexts_that_are_no_content_are_refused() {
    let world = World::new(any_suite());
    let tree = world.tree();
    let look_at = |content_type, plaintext: &[u8]| {
        let plaintext = plaintext.to_vec();
        let forgery = Forgery { sender: 1, generation: 0, content_type, plaintext };
        world.look_at_private(&tree, world.forge(&tree, &forgery)).err()
    };
    for content in [text("tea?"), remove(2), commit()] {
        let content_type = content.content_type();
        let plaintext = world.plaintext(1, WireFormat::PRIVATE_MESSAGE, content);
        for length in 0..plaintext.len() {
            let refused = look_at(content_type, &plaintext[..length]);
            assert!(matches!(refused, Some(Error::Decode(_))), "length {length}");
        }
    }
    // A length bomb, and a proposal of a type that nobody knows.
    let bomb = look_at(ContentType::Application, &[0xbf, 0xff, 0xff, 0xff]);
    assert!(matches!(bomb, Some(Error::Decode(_))));
    let unknown = look_at(ContentType::Proposal, &[0x00, 0x99, 0, 0, 0, 0, 0]);
    assert_breaks!(unknown.unwrap(), Unsupported::ProposalType, "C024");
}

#[test]
fn what_is_sealed_in_private_is_always_said_by_a_member() {
    // There is no way to say otherwise: sender data has a leaf and nothing else.
    let world = World::new(any_suite());
    let mut tree = world.tree();
    let plaintext = world.plaintext(3, WireFormat::PRIVATE_MESSAGE, remove(2));
    let forgery = Forgery { sender: 3, generation: 0, content_type: ContentType::Proposal, plaintext };
    let message = world.forge(&tree, &forgery);
    let received = world.receive_private(&mut tree, message).unwrap();
    assert_eq!(received.content().sender, Sender::Member(leaf(3)));
}
