//! RFC 9420 §6: messages of a member with any content, signed, tagged and encrypted.

use hushwood::framing::{
    AuthenticatedContent, Content, FramedContent, FramedContentAuthData, MlsMessage, PrivateMessage, Sender,
    SenderData, WireFormat,
};
use test_support::random::SeededRandom;

use crate::at::{At, Tamper};
use crate::literal::crypto::sign;
use crate::literal::framing::{Sealing, bytes, context_bytes, membership_tag, private_content, public, tbs};
use crate::member::{Member, index};

impl Member {
    /// Signs content as whoever `sender` is (§6.1).
    pub fn signed(
        &self,
        sender: Sender,
        content: Content,
        wire_format: WireFormat,
        tamper: Tamper<'_>,
    ) -> AuthenticatedContent {
        let mut content = FramedContent {
            group_id: self.context.group_id.clone(),
            epoch: self.context.epoch,
            sender,
            authenticated_data: Vec::new(),
            content,
        };
        tamper(At::Content(&mut content));
        let mut context = context_bytes(&self.context);
        tamper(At::Tbs(&mut context));
        let mut signer = self.client.signer.clone();
        tamper(At::Signer(&mut signer));
        let tbs = tbs(wire_format, &content, &context);
        let mut signature = sign(self.suite(), &signer, "FramedContentTBS", &tbs);
        tamper(At::Reframe(&content, &mut signature));
        let mut auth = FramedContentAuthData { signature, confirmation_tag: None };
        tamper(At::Auth(&mut auth));
        AuthenticatedContent { wire_format, content, auth }
    }

    /// Tags or encrypts a signed message, as its wire format says, and encodes it.
    pub fn protected(
        &self,
        mut message: AuthenticatedContent,
        generation: u32,
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> Vec<u8> {
        tamper(At::Authenticated(&mut message));
        let mut encoded = if message.wire_format == WireFormat::PRIVATE_MESSAGE {
            let private = self.encrypted(&message, generation, random, tamper);
            bytes(&MlsMessage::PrivateMessage(private))
        } else {
            let context = context_bytes(&self.context);
            let tag = match message.content.sender {
                Sender::Member(_) => {
                    Some(membership_tag(self.suite(), &self.epoch.membership, &message, &context))
                }
                _ => None,
            };
            let mut tag = tag;
            tamper(At::MembershipTag(&mut tag));
            public(message, tag)
        };
        tamper(At::Message(&mut encoded));
        encoded
    }

    fn encrypted(
        &self,
        message: &AuthenticatedContent,
        generation: u32,
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> PrivateMessage {
        let content = &message.content;
        let mut private = PrivateMessage {
            group_id: content.group_id.clone(),
            epoch: content.epoch,
            content_type: content.content.content_type(),
            authenticated_data: content.authenticated_data.clone(),
            encrypted_sender_data: Vec::new(),
            ciphertext: Vec::new(),
        };
        tamper(At::Private(&mut private));
        let mut plain = private_content(&content.content, &message.auth);
        plain.resize(plain.len() + 7, 0);
        tamper(At::Plain(&mut plain));
        let reuse_guard = random.bytes(4).try_into().expect("four bytes");
        let mut data = SenderData { leaf_index: index(self.leaf), generation, reuse_guard };
        tamper(At::SenderData(&mut data));
        let width = self.tree.width();
        // Keys of leaves and generations that there are not are some others.
        let leaf = usize::try_from(data.leaf_index.number()).expect("a number") % width;
        let generation = data.generation.min(5000);
        let sealing = Sealing { suite: self.suite(), epoch: &self.epoch, width, leaf, generation };
        private.ciphertext = sealing.content(&private, &plain, data.reuse_guard);
        private.encrypted_sender_data = sealing.sender_data(&private, &data);
        tamper(At::PrivateSealed(&mut private));
        private
    }

    /// A message of this member with any content.
    pub fn send(
        &self,
        content: Content,
        (wire_format, generation): (WireFormat, u32),
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> Vec<u8> {
        let signed = self.signed(Sender::Member(index(self.leaf)), content, wire_format, tamper);
        self.protected(signed, generation, random, tamper)
    }
}
