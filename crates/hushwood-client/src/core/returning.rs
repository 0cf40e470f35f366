//! Who is in a room that we come back to: the user sees who is new there before we are (RFC 9750 §5.3, A060).

use hushwood::credential::Claim;
use hushwood::group::MemberView;
use hushwood_codec::wire_struct;
use hushwood_crypto::{CipherSuite, SignaturePublicKey};

use crate::core::Core;
use crate::core::env::Env;
use crate::core::people::Known;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::EventKind;
use crate::identity::member_of;
use crate::invitation::{Invitations, Invitee, Returning, least_known_first};
use crate::records::{from_row, get, row, to_row};
use crate::room::RoomId;

wire_struct! {
    /// Whom the user has been shown.
    struct Shown {
        keys: Vec<SignaturePublicKey>,
    }
}

/// The row of [`Shown`], of a room.
pub(super) const SHOWN: &str = "shown before a return";

impl Core {
    /// Whether the user knows who is in a room that we are about to come back to, or need not: as for an invitation. If not, they
    /// are told, and have to say it again.
    pub(super) fn is_return_admitted(
        &mut self,
        (id, number): (&RoomId, u64),
        members: &[MemberView],
        external_senders: usize,
    ) -> Result<bool, Error> {
        let suite = self.env.suite();
        let all = self.env.invitees(members, suite);
        let open: Vec<_> = all.iter().filter(|(one, _)| self.env.is_asked_about(one.trust)).collect();
        let key = row(self.room(id)?.rows(), SHOWN);
        let shown = get(&*self.env.store, &key)?.map(|shown| from_row::<Shown>(&shown)).transpose()?;
        let shown = shown.map(|shown| shown.keys).unwrap_or_default();
        if open.iter().all(|(_, key)| shown.contains(key)) {
            return Ok(true);
        }
        let keys = open.into_iter().map(|(_, key)| key.clone()).collect();
        let mut work = Work::new();
        work.put(key, to_row(&Shown { keys }, 0)?);
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let members = least_known_first(all.into_iter().map(|(one, _)| one).collect());
        let external_senders = u32::try_from(external_senders).unwrap_or(u32::MAX);
        work.event(id, EventKind::Returning(Returning { members, count, external_senders }));
        self.end(number, Err(UNSEEN), &mut work);
        self.persist(work)?;
        Ok(false)
    }
}

impl Env {
    /// These members as the user is shown them, with their keys.
    fn invitees(
        &self,
        members: &[MemberView],
        suite: &dyn CipherSuite,
    ) -> Vec<(Invitee, SignaturePublicKey)> {
        let own = self.claim();
        let each = members.iter().map(|view| {
            let (credential, signature_key) = (view.leaf.credential.clone(), view.leaf.signature_key.clone());
            let claim = Claim { credential, signature_key };
            let invitee = Invitee { member: member_of(&claim, suite), trust: self.judge.known(&claim, &own) };
            (invitee, claim.signature_key)
        });
        each.collect()
    }

    /// Whether the user is asked before we are in a room with somebody whose key is known so well.
    fn is_asked_about(&self, trust: Known) -> bool {
        match self.settings.invitations {
            Invitations::All => false,
            Invitations::FromKnown => {
                !self.judge.is_of_the_application() && matches!(trust, Known::Unknown | Known::Doubted)
            }
            Invitations::Ask => trust != Known::Own,
        }
    }
}

const UNSEEN: Error = Error::Void(
    "somebody is in this room whom you may not know: see who is there now, and rejoin it again if that is right",
);
