//! RFC 9420 §6.2: messages that are signed and not encrypted.

use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, ct_eq};

use crate::error::{Error, Violation};
use crate::framing::content_auth::{
    Authenticated, Unprotected, check_confirmation_tag_presence, check_sender_rules, content_tbs,
};
use crate::framing::types::{AuthenticatedContent, PublicMessage, Sender, WireFormat};
use crate::schedule::types::MembershipKey;

impl PublicMessage {
    /// Makes a member's message: adds the membership tag. `group_context` is that of the current epoch,
    /// encoded.
    ///
    /// # Errors
    /// [`Error::Bug`] if the message was signed for another format or by somebody else than a member.
    pub fn protect(
        suite: &dyn CipherSuite,
        message: Authenticated,
        membership_key: &MembershipKey,
        group_context: &[u8],
    ) -> Result<Self, Error> {
        let AuthenticatedContent { wire_format, content, auth } = message.into_inner();
        if wire_format != WireFormat::PUBLIC_MESSAGE || !matches!(content.sender, Sender::Member(_)) {
            return Err(Error::Bug("a membership tag was asked for what is no public message of a member"));
        }
        let content_tbs = content_tbs(wire_format, &content, group_context)?;
        let membership_tag = membership_tag(suite, membership_key, &content_tbs, &auth.to_bytes()?);
        Ok(Self { content, auth, membership_tag: Some(membership_tag) })
    }

    /// Makes the message of somebody outside the group, which has no membership tag (C081).
    ///
    /// # Errors
    /// [`Error::Bug`] if the message was signed for another format or by a member.
    pub fn from_outside(message: Authenticated) -> Result<Self, Error> {
        let AuthenticatedContent { wire_format, content, auth } = message.into_inner();
        if wire_format != WireFormat::PUBLIC_MESSAGE || matches!(content.sender, Sender::Member(_)) {
            return Err(Error::Bug("a message without membership tag must be public and from outside"));
        }
        Ok(Self { content, auth, membership_tag: None })
    }

    /// Takes the protection off: verifies the membership tag of a member's message. `group_context` is
    /// that of the message's epoch, encoded.
    ///
    /// # Errors
    /// [`Violation::MembershipTag`], or what [`check_sender_rules`] finds.
    pub fn unprotect(
        self,
        suite: &dyn CipherSuite,
        membership_key: &MembershipKey,
        group_context: &[u8],
    ) -> Result<Unprotected, Error> {
        let Checked { unprotected, auth, membership_tag: tag } = self.check_form(group_context)?;
        // RFC 9420 §6.2, C082, C306, C415: the tag of every member's message must be the one we compute. The
        // comparison is false for every other length: tags that were empty or cut short have been
        // accepted elsewhere.
        if let Some(tag) = tag {
            let expected = membership_tag(suite, membership_key, unprotected.content_tbs(), &auth);
            if !ct_eq(&expected, &tag) {
                return Err(Violation::MembershipTag.into());
            }
        }
        Ok(unprotected)
    }

    /// As [`unprotect`](Self::unprotect), for a delivery service or an auditor: somebody who knows the
    /// public state of the group and none of its secrets, and so can't verify the membership tag.
    ///
    /// # Errors
    /// What [`check_sender_rules`] finds.
    pub fn unprotect_as_observer(self, group_context: &[u8]) -> Result<Unprotected, Error> {
        Ok(self.check_form(group_context)?.unprotected)
    }

    /// The checks that need no key.
    fn check_form(self, group_context: &[u8]) -> Result<Checked, Error> {
        let Self { content, auth, membership_tag } = self;
        check_sender_rules(&content, WireFormat::PUBLIC_MESSAGE)?;
        check_confirmation_tag_presence(&content, auth.confirmation_tag.as_ref())?;
        // RFC 9420 §6.2, C081, C365: present exactly for members.
        if matches!(content.sender, Sender::Member(_)) != membership_tag.is_some() {
            return Err(Violation::MembershipTag.into());
        }
        let content_tbs = content_tbs(WireFormat::PUBLIC_MESSAGE, &content, group_context)?;
        let auth_bytes = auth.to_bytes()?;
        let message = AuthenticatedContent { wire_format: WireFormat::PUBLIC_MESSAGE, content, auth };
        Ok(Checked { unprotected: Unprotected::new(message, content_tbs), auth: auth_bytes, membership_tag })
    }
}

/// A public message whose form is right and whose membership tag has still to be verified.
struct Checked {
    unprotected: Unprotected,
    /// The encoded `FramedContentAuthData`.
    auth: Vec<u8>,
    membership_tag: Option<Vec<u8>>,
}

/// `MAC(membership_key, AuthenticatedContentTBM)`, where the latter is `content_tbs || auth`.
fn membership_tag(suite: &dyn CipherSuite, key: &MembershipKey, content_tbs: &[u8], auth: &[u8]) -> Vec<u8> {
    suite.kdf().mac(key.secret().expose(), &[content_tbs, auth]).as_bytes().to_vec()
}
