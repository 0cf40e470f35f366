//! RFC 9420 §5.3.1: credential validation, by the application.
//!
//! The protocol says when a credential must be validated and never decides whether it is valid. Where
//! it must be, a staged input lists a [`CredentialCheck`] for each, and is accepted with a [`Verdict`]
//! for each. [`judge`] gets the verdicts from a [`CredentialValidator`].

use hushwood_codec::Encode;
use hushwood_crypto::SignaturePublicKey;

use crate::credential::Credential;
use crate::error::{ApiMisuse, Error, Violation};
use crate::policy::Timestamp;
use crate::tree::LeafIndex;

/// The claim that a signature key belongs to whom a credential names.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Claim {
    /// Who it is.
    pub credential: Credential,
    /// The key that whoever it is signs with.
    pub signature_key: SignaturePublicKey,
}

/// Whose credential is judged, and on what occasion.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subject {
    /// A client whose KeyPackage was received, to be added or to be looked at (C046).
    KeyPackage,
    /// A client that an Add of a member or an external sender adds, by position among the commit's
    /// adds (C048).
    Added(usize),
    /// A client that proposed its own addition and that the commit adds, by position among the
    /// commit's adds (C048, C255).
    AddedByItself(usize),
    /// A member that an Update gives another credential or key (C049).
    Updated(LeafIndex),
    /// The committer, whose path gives it another credential or key (C050).
    Committer(LeafIndex),
    /// A client that joins by external commit as a new member (C050).
    Joiner,
    /// A client that joins by external commit in place of the member at this leaf (C357).
    Resync(LeafIndex),
    /// An entry of `external_senders`, by position, that is new in the group (C051).
    ExternalSender(u32),
    /// A member of a group that is being joined (C047).
    Member(LeafIndex),
}

/// One credential to judge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialCheck {
    /// Whose it is.
    pub subject: Subject,
    /// What the same member showed before. If there is something, the new credential must also be valid
    /// as its successor (C052). It may have expired (C053).
    pub old: Option<Claim>,
    /// What is shown now.
    pub new: Claim,
    /// The current time, for credentials that expire.
    pub now: Timestamp,
}

/// The answer to a [`CredentialCheck`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// The key belongs to whom the credential names, and whom the credential names may be there.
    Accept,
    /// Otherwise.
    Refuse,
}

/// Verdicts on a list of checks: one for each, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdicts(pub Vec<Verdict>);

impl Verdicts {
    /// Checks that there is a verdict on every check and that none of them refuses.
    ///
    /// # Errors
    /// [`ApiMisuse::VerdictMissing`], also if there are too many; [`Violation::CredentialRefused`],
    /// [`Violation::CredentialSuccessorRefused`].
    pub fn confirm(&self, checks: &[CredentialCheck]) -> Result<(), Error> {
        // RFC 9420 §5.3.1, §7.3, C046 to C051, C114: every new credential is validated.
        if self.0.len() != checks.len() {
            return Err(ApiMisuse::VerdictMissing.into());
        }
        for (check, verdict) in checks.iter().zip(&self.0) {
            match (verdict, &check.old) {
                (Verdict::Accept, _) => {}
                (Verdict::Refuse, None) => return Err(Violation::CredentialRefused.into()),
                // RFC 9420 §5.3.1, C052: a successor is valid as such.
                (Verdict::Refuse, Some(_)) => return Err(Violation::CredentialSuccessorRefused.into()),
            }
        }
        Ok(())
    }
}

/// The authentication service, as far as it can be asked without waiting (RFC 9750 §4).
///
/// Judge all members by the same rules, and by the same as other clients do: members that disagree
/// about a credential end up in different groups (RFC 9750 §6.5).
pub trait CredentialValidator {
    /// Decides whether the key belongs to whom the credential names and may be where it is shown.
    fn judge(&self, check: &CredentialCheck) -> Verdict;

    /// A name for the user of a credential, the same for all credentials of one user: it decides who of an
    /// old group is in the one that grows out of it (RFC 9420 §11.2, §11.3, C233, C344). `None` for a
    /// credential that names nobody. By default the credential itself: who shows another one is another.
    fn user(&self, credential: &Credential) -> Option<Vec<u8>> {
        credential.to_bytes().ok()
    }
}

/// Judges each of the checks.
pub fn judge<'a>(
    checks: impl IntoIterator<Item = &'a CredentialCheck>,
    validator: &dyn CredentialValidator,
) -> Verdicts {
    Verdicts(checks.into_iter().map(|check| validator.judge(check)).collect())
}

/// Accepts every credential: anybody can be anybody. For tests and experiments only.
#[derive(Clone, Copy, Debug, Default)]
pub struct InsecureAcceptAll;

impl CredentialValidator for InsecureAcceptAll {
    fn judge(&self, _: &CredentialCheck) -> Verdict {
        Verdict::Accept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(identity: &str, key: u8) -> Claim {
        Claim { credential: Credential::basic(identity), signature_key: SignaturePublicKey(vec![key]) }
    }

    fn check(old: Option<Claim>) -> CredentialCheck {
        let new = claim("alice", 1);
        CredentialCheck { subject: Subject::KeyPackage, old, new, now: Timestamp(0) }
    }

    #[test]
    fn a_missing_or_surplus_verdict_is_no_acceptance() {
        let checks = [check(None), check(None)];
        for count in [0, 1, 3] {
            let verdicts = Verdicts(vec![Verdict::Accept; count]);
            assert_eq!(verdicts.confirm(&checks), Err(ApiMisuse::VerdictMissing.into()));
        }
        assert_eq!(judge(&checks, &InsecureAcceptAll).confirm(&checks), Ok(()));
    }

    #[test]
    fn one_refusal_refuses_all_and_says_whether_of_a_successor() {
        let checks = [check(None), check(Some(claim("alice", 0)))];
        let new = Verdicts(vec![Verdict::Refuse, Verdict::Accept]);
        assert_eq!(new.confirm(&checks), Err(Violation::CredentialRefused.into()));
        let successor = Verdicts(vec![Verdict::Accept, Verdict::Refuse]);
        assert_eq!(successor.confirm(&checks), Err(Violation::CredentialSuccessorRefused.into()));
    }
}
