//! RFC 9420 §12.3: applying a proposal list, and whether the tree is valid after it.
//!
//! A commit is applied in up to three steps: [`ProposalList::apply`]; if it has a path,
//! [`ProposalList::check_path_leaf`] before the path is merged; then [`Applied::check_tree`], which looks
//! at the whole and is asked once, at the end.

use crate::credential::{Claim, CredentialCheck, Subject};
use crate::error::{Error, NotNow, Violation};
use crate::extension::Extensions;
use crate::framing::Sender;
use crate::proposal::{Proposal, ProposalChecks, ProposalList};
use crate::tree::{GroupParameters, LeafIndex, LeafNode, LeafPlace, RatchetTree};

/// What a list of proposals makes of a group.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The tree after the proposals and before the path.
    pub tree: RatchetTree,
    /// The extensions of the next epoch.
    pub extensions: Extensions,
    /// What the next epoch asks of every leaf.
    pub parameters: GroupParameters,
    /// The leaves that were updated, with what stood there before.
    pub updated: Vec<(LeafIndex, LeafNode)>,
    /// The leaves that were removed, with what stood there.
    pub removed: Vec<(LeafIndex, LeafNode)>,
    /// The leaves that new members got, in the order of [`ProposalList::adds`].
    pub added: Vec<LeafIndex>,
    /// The credentials to judge, in the order of application. That of the path is apart: [`PathLeaf`].
    pub credential_checks: Vec<CredentialCheck>,
}

/// The leaf of a commit's path, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathLeaf {
    /// Where it goes.
    pub leaf_index: LeafIndex,
    /// The credential to judge, if it is new or its key is.
    pub credential_check: Option<CredentialCheck>,
}

impl ProposalList {
    /// Applies the list to a copy of the tree, in the order of RFC 9420 §12.3 (C278).
    ///
    /// # Errors
    /// [`Violation`]: `CapabilitiesLackGroup`, `CapabilitiesLackRequired`, `CapabilitiesLackExtension`
    /// for new and updated leaves; [`NotNow::Limit`] if the tree would outgrow the policy.
    pub fn apply(&self, checks: &ProposalChecks<'_>) -> Result<Applied, Error> {
        let ProposalChecks { context, now, .. } = *checks;
        let mut tree = checks.tree.clone();
        let mut credential_checks = Vec::new();

        // GroupContextExtensions first: RFC 9420 §12.3, C250, C279: the whole list is replaced, and the
        // new one governs the other proposals.
        let extensions = match self.group_context_extensions() {
            Some(new) => {
                credential_checks.extend(new_external_senders(&context.extensions, &new.extensions, checks)?);
                new.extensions.clone()
            }
            None => context.extensions.clone(),
        };
        let parameters = GroupParameters::new(context.version, context.cipher_suite, &extensions)?;

        let mut updated = Vec::new();
        for (leaf_index, update) in self.updates() {
            // RFC 9420 §7.3, C116 to C118, C279: the leaf fits the group as it will be.
            parameters.check(&update.leaf_node.capabilities)?;
            let old = tree.leaf(leaf_index)?.ok_or(Violation::SenderBlank)?;
            let subject = Subject::Updated(leaf_index);
            credential_checks.extend(successor_check(subject, &old, &update.leaf_node, checks));
            tree.update(leaf_index, update.leaf_node.clone())?;
            updated.push((leaf_index, old));
        }

        let mut removed = Vec::new();
        for leaf_index in self.removes() {
            let old = tree.leaf(leaf_index)?.ok_or(Violation::RemoveBlank)?;
            tree.remove(leaf_index)?;
            removed.push((leaf_index, old));
        }

        for (position, (sender, add)) in self.adds().enumerate() {
            let leaf = &add.key_package.leaf_node;
            // RFC 9420 §11.1, §13.4, C224, C279, C384: the same for new members.
            parameters.check(&leaf.capabilities)?;
            let subject = match sender {
                Sender::NewMemberProposal => Subject::AddedByItself(position),
                Sender::Member(_) | Sender::External(_) | Sender::NewMemberCommit => Subject::Added(position),
            };
            credential_checks.push(CredentialCheck { subject, old: None, new: leaf.claim(), now });
        }
        let added = tree.add_all(self.adds().map(|(_, add)| &add.key_package.leaf_node))?;
        // PSKs, ExternalInit and ReInit do not touch the tree.
        Ok(Applied { tree, extensions, parameters, updated, removed, added, credential_checks })
    }

    /// Checks the leaf of the commit's path, before the path is merged into the tree.
    ///
    /// # Errors
    /// [`Violation`]: those of [`LeafChecks`](crate::tree::LeafChecks), `EncryptionKeyReused`, and those
    /// of [`GroupParameters::check`].
    pub fn check_path_leaf(
        &self,
        leaf: &LeafNode,
        applied: &Applied,
        checks: &ProposalChecks<'_>,
    ) -> Result<PathLeaf, Error> {
        let path_leaf = self.check_path_leaf_unsigned(leaf, applied, checks)?;
        if !checks.sending {
            // A sender has just made the signature.
            path_leaf.verify_signature(leaf, checks)?;
        }
        Ok(path_leaf)
    }

    /// The same but for the signature: [`PathLeaf::verify_signature`].
    pub(crate) fn check_path_leaf_unsigned(
        &self,
        leaf: &LeafNode,
        applied: &Applied,
        checks: &ProposalChecks<'_>,
    ) -> Result<PathLeaf, Error> {
        let (leaf_index, subject, old) = match self.committer() {
            Sender::Member(committer) => {
                let old = checks.tree.leaf(committer)?.ok_or(Violation::SenderBlank)?;
                (committer, Subject::Committer(committer), Some(old))
            }
            // RFC 9420 §12.4.2, C361: an external committer gets the leftmost blank leaf of the tree as
            // the proposals left it.
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
                let free = applied.tree.next_free_leaf()?;
                match applied.removed.first() {
                    Some((removed, old)) => (free, Subject::Resync(*removed), Some(old.clone())),
                    None => (free, Subject::Joiner, None),
                }
            }
        };
        let place = LeafPlace::Commit(&checks.context.group_id, leaf_index);
        // RFC 9420 §7.3, §12.4.2, C126, C142, C312: the leaf is valid for a path.
        checks.leaves().alone(leaf, place)?;
        // RFC 9420 §7.3, C116 to C118, C312: it fits the group as it will be.
        applied.parameters.check(&leaf.capabilities)?;
        let now = checks.now;
        let credential_check = match old {
            // RFC 9420 §12.4.2, C309: the encryption key is a new one. C357: also for a joiner that
            // replaces a member, whose leaf is judged like an Update of the removed one.
            Some(old) if old.encryption_key == leaf.encryption_key => {
                return Err(Violation::EncryptionKeyReused.into());
            }
            // RFC 9420 §12.2, C357: whether a joiner may take the place of the member it removes is
            // always a question, also if it shows the same credential.
            Some(old) if matches!(subject, Subject::Resync(_)) => {
                Some(CredentialCheck { subject, old: Some(old.claim()), new: leaf.claim(), now })
            }
            Some(old) => successor_check(subject, &old, leaf, checks),
            None => Some(CredentialCheck { subject, old: None, new: leaf.claim(), now }),
        };
        Ok(PathLeaf { leaf_index, credential_check })
    }
}

impl PathLeaf {
    /// Verifies the signature of a path's leaf (RFC 9420 §7.3, C112, C115).
    pub(crate) fn verify_signature(&self, leaf: &LeafNode, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        checks.leaves().signature(leaf, LeafPlace::Commit(&checks.context.group_id, self.leaf_index))
    }
}

impl Applied {
    /// Checks the tree that a commit results in, after its path, if it has one, was merged into
    /// [`tree`](Self::tree). Costs O(1) in the size of the group.
    ///
    /// # Errors
    /// Those of [`GroupParameters::check_members`]; [`Violation::EncryptionKeyReused`],
    /// [`Violation::SignatureKeyReused`]; [`NotNow::Limit`] if the group would outgrow the policy.
    pub fn check_tree(&self, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        if self.tree.member_count() > checks.policy.max_members {
            return Err(NotNow::Limit.into());
        }
        // RFC 9420 §12.2, C223, C251, C252, C276: every member supports what the group has and requires,
        // also those that did not change.
        self.parameters.check_members(&self.tree)?;
        // RFC 9420 §7.3, §16.7, C127, C128, C276, C364, C413: no key is there twice.
        self.tree.check_unique_keys()
    }
}

/// The check of a leaf that takes the place of another one of the same member; none if both make the
/// same claim (RFC 9420 §5.3.1, C049, C050).
fn successor_check(
    subject: Subject,
    old: &LeafNode,
    new: &LeafNode,
    checks: &ProposalChecks<'_>,
) -> Option<CredentialCheck> {
    if old.credential == new.credential && old.signature_key == new.signature_key {
        return None;
    }
    Some(CredentialCheck { subject, old: Some(old.claim()), new: new.claim(), now: checks.now })
}

/// The external senders that a new list of extensions brings (RFC 9420 §5.3.1, C051).
fn new_external_senders(
    old: &Extensions,
    new: &Extensions,
    checks: &ProposalChecks<'_>,
) -> Result<Vec<CredentialCheck>, Error> {
    let old: std::collections::HashSet<Claim> =
        old.external_senders()?.into_iter().map(Claim::from).collect();
    let senders = (0_u32..).zip(new.external_senders()?.into_iter().map(Claim::from));
    let checks = senders.filter(|(_, new)| !old.contains(new)).map(|(index, new)| CredentialCheck {
        subject: Subject::ExternalSender(index),
        old: None,
        new,
        now: checks.now,
    });
    Ok(checks.collect())
}

impl ProposalChecks<'_> {
    /// The credentials to judge when a proposal is received, before anybody commits it (C048, C049,
    /// C051). The position in a subject is 0: there is one proposal.
    ///
    /// # Errors
    /// [`Error::Decode`] if an `external_senders` extension is malformed.
    pub fn credential_checks(
        &self,
        proposal: &Proposal,
        sender: Sender,
    ) -> Result<Vec<CredentialCheck>, Error> {
        Ok(match proposal {
            Proposal::Add(add) => {
                let subject = match sender {
                    Sender::NewMemberProposal => Subject::AddedByItself(0),
                    Sender::Member(_) | Sender::External(_) | Sender::NewMemberCommit => Subject::Added(0),
                };
                let new = add.key_package.leaf_node.claim();
                vec![CredentialCheck { subject, old: None, new, now: self.now }]
            }
            Proposal::Update(update) => {
                let Sender::Member(leaf) = sender else { return Ok(Vec::new()) };
                let old = self.tree.leaf(leaf)?.ok_or(Violation::SenderBlank)?;
                let check = successor_check(Subject::Updated(leaf), &old, &update.leaf_node, self);
                check.into_iter().collect()
            }
            Proposal::GroupContextExtensions(new) => {
                new_external_senders(&self.context.extensions, &new.extensions, self)?
            }
            Proposal::Remove(_)
            | Proposal::Psk(_)
            | Proposal::ReInit(_)
            | Proposal::ExternalInit(_)
            | Proposal::Custom { .. } => Vec::new(),
        })
    }
}
