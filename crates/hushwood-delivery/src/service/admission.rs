//! Who may ask for something about a group: each request shows it by a signature (RFC 9750 §8.1.3).

use hushwood::tree::LeafIndex;
use hushwood_crypto::SignaturePublicKey;
use sha2::{Digest, Sha256};

use crate::service::Service;
use crate::service::followed::{Followed, corrupt};
use crate::service::limits::Who;
use crate::service::people::Departed;
use crate::wire::{
    Admission, INVITATION_LABEL, Invitation, InvitedProof, MemberProof, REQUEST_LABEL, Refusal,
};

/// Who asks, after it was checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Admitted {
    /// The member at this leaf.
    Member(LeafIndex),
    /// Somebody with this signature key, whom a member has invited.
    Invited(SignaturePublicKey),
    /// The external sender at this position.
    ExternalSender(u32),
}

/// Which part of a log somebody may read: what comes after one number, up to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reach {
    /// The key by which they have shown who they are.
    pub(super) key: Vec<u8>,
    pub(super) from: u64,
    /// For somebody who has gone: the number of the commit that they went with, and the epoch that it ended.
    pub(super) until: Option<(u64, u64)>,
}

impl Service {
    /// Checks an admission: a signature over the request's content, by somebody whom the group knows now. The request brings so
    /// many bytes to be kept.
    pub(super) fn admit(
        &self,
        group: &Followed,
        admission: &Admission,
        (content, bytes): (&[u8], usize),
    ) -> Result<Admitted, Refusal> {
        self.check_time(admission.at())?;
        match admission {
            Admission::Member(proof) => {
                let leaf = LeafIndex::new(proof.leaf_index);
                let key = member_key(group, leaf)?.ok_or(STRANGER)?;
                verify(group, (&key, content), &proof.signature)?;
                self.limits.member(who(group, &key.0), bytes)?;
                Ok(Admitted::Member(leaf))
            }
            Admission::Invited(InvitedProof { invitation, signature, .. }) => {
                let by = self.check_invitation(group, invitation)?;
                let key = SignaturePublicKey(invitation.signature_key.clone());
                verify(group, (&key, content), signature)?;
                self.limits.invited(who(group, &key.0), who(group, &by.0), bytes)?;
                Ok(Admitted::Invited(key))
            }
            Admission::ExternalSender(proof) => {
                let listed = group.public().context().extensions.external_senders();
                let listed = listed.map_err(|_| corrupt("a group's extensions"))?;
                let index = usize::try_from(proof.sender_index).map_err(|_| STRANGER)?;
                let key = &listed.get(index).ok_or(STRANGER)?.signature_key;
                verify(group, (key, content), &proof.signature)?;
                self.limits.external_sender(group.name(), proof.sender_index)?;
                Ok(Admitted::ExternalSender(proof.sender_index))
            }
        }
    }

    /// Who asks for a piece of the log, and for which they may: a member, or somebody who was one. Who went and came back may
    /// not have read that yet: they read on where they were, up to the commit that they went with, and learn it from that.
    pub(super) fn reach(
        &self,
        group: &Followed,
        (proof, after): (&MemberProof, u64),
        content: &[u8],
    ) -> Result<Reach, Refusal> {
        self.check_time(proof.at)?;
        let leaf = LeafIndex::new(proof.leaf_index);
        let is_of = |key: &[u8]| {
            verify(group, (&SignaturePublicKey(key.to_vec()), content), &proof.signature).is_ok()
        };
        let departed = |one: &Departed| {
            let until = Some((one.until, one.epoch));
            Reach { key: one.key.clone(), from: one.from, until }
        };
        let member = member_key(group, leaf)?.filter(|key| is_of(&key.0));
        let reach = match member {
            Some(key) => {
                self.limits.member(who(group, &key.0), 0)?;
                let from = group.people().from(leaf);
                let unread = |one: &&Departed| one.key == key.0 && one.until > after && after < from;
                match group.people().departed(leaf).filter(unread).last() {
                    Some(first) => departed(first),
                    None => Reach { key: key.0, from, until: None },
                }
            }
            None => {
                let mut was = group.people().departed(leaf).filter(|one| is_of(&one.key));
                let last = was.next().ok_or(STRANGER)?;
                self.limits.departed(who(group, &last.key))?;
                departed(was.take_while(|one| one.until > after).last().unwrap_or(last))
            }
        };
        Ok(reach)
    }

    /// By a member who is there now with the key that signed it, for somebody who has not gone since. Gives that key.
    fn check_invitation(
        &self,
        group: &Followed,
        invitation: &Invitation,
    ) -> Result<SignaturePublicKey, Refusal> {
        let now = self.now().0;
        if invitation.not_after < now {
            return Err(Refusal::Forbidden("the invitation has expired: ask for another"));
        }
        if invitation.not_after > now.saturating_add(self.settings.max_invitation.as_secs()) {
            return Err(Refusal::Forbidden("the invitation is good for too long: ask for one of a few days"));
        }
        if invitation.epoch > group.public().epoch()
            || group.people().may_have_gone_since(&invitation.signature_key, invitation.epoch)
        {
            return Err(Refusal::Forbidden("who has left the group needs a new invitation"));
        }
        let signer = member_key(group, LeafIndex::new(invitation.leaf_index))?;
        let content = invitation.signed(&self.settings.name, group.public().group_id());
        let signer =
            signer.filter(|key| group.verifies(INVITATION_LABEL, (key, &content), &invitation.signature));
        signer.ok_or(Refusal::Forbidden("the invitation is not of a member of the group: ask for another"))
    }

    /// A proof is young.
    pub(super) fn check_time(&self, at: u64) -> Result<(), Refusal> {
        match at.abs_diff(self.now().0) <= self.settings.clock_skew.as_secs() {
            true => Ok(()),
            false => Err(Refusal::Unauthorized("the proof is of another time: check the clock")),
        }
    }
}

/// The name under which requests are counted.
fn who(group: &Followed, key: &[u8]) -> Who {
    Sha256::new().chain_update(group.name()).chain_update(key).finalize().into()
}

const STRANGER: Refusal = Refusal::Forbidden("the proof is not of a member of the group");

pub(super) fn member_key(group: &Followed, leaf: LeafIndex) -> Result<Option<SignaturePublicKey>, Refusal> {
    let leaf = group.public().tree().leaf(leaf).map_err(|_| corrupt("a tree"))?;
    Ok(leaf.map(|leaf| leaf.signature_key))
}

fn verify(group: &Followed, signed: (&SignaturePublicKey, &[u8]), signature: &[u8]) -> Result<(), Refusal> {
    match group.verifies(REQUEST_LABEL, signed, signature) {
        true => Ok(()),
        false => Err(STRANGER),
    }
}
