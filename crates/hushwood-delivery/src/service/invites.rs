//! Who may make an account: everybody, those whom the operator invites, or nobody (RFC 9750 §8.1.3).

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::backend::{AccountId, Backend, DeviceId, Invite, InviteName, Seconds};
use crate::service::{NewAccounts, Service, random_array};
use crate::wire::{InviteToken, Refusal, Registration};

/// Makes a token with which so many accounts can be made, until then. What is stored is a hash of it: who has a copy of the
/// database can't use it.
///
/// It may be called where no service runs, or another one on the same back end.
///
/// # Errors
/// [`Refusal::Failed`].
pub async fn invite(
    backend: &dyn Backend,
    uses: u32,
    (now, not_after): (Seconds, Seconds),
) -> Result<InviteToken, Refusal> {
    /// What nobody guesses, and a line of a letter.
    const LENGTH: usize = 24;
    let token = Base64UrlUnpadded::encode_string(&random_array::<LENGTH>()?);
    let token = InviteToken::new(token.into_bytes());
    backend.add_invite(Invite { name: name(&token), left: uses, not_after }, now).await?;
    Ok(token)
}

impl Service {
    /// Whether somebody may make a new account, and what they use up by that. Who asks again has one: their answer was lost, and
    /// the token with it.
    pub(super) async fn invited(&self, registration: &Registration) -> Result<Option<InviteName>, Refusal> {
        let shown = registration.invite_token.as_ref();
        let refusal = match (&self.settings.new_accounts, shown) {
            (NewAccounts::Open, _) => return Ok(None),
            (NewAccounts::Invited { word }, Some(_)) if word.as_ref() == shown => return Ok(None),
            // Whether it is good, is seen where it is used up.
            (NewAccounts::Invited { .. }, Some(token)) => return Ok(Some(name(token))),
            (NewAccounts::Invited { .. }, None) => NOT_INVITED,
            (NewAccounts::Closed, _) => CLOSED,
        };
        let (account, device) = (AccountId(registration.account), DeviceId(registration.device));
        match self.backend.device_key(account, device).await? {
            Some(key) if key == registration.key => Ok(None),
            Some(_) | None => Err(refusal),
        }
    }
}

pub(super) const NOT_INVITED: Refusal = Refusal::Forbidden(
    "new accounts need an invite token that is good and not used up: ask whoever runs this service",
);

const CLOSED: Refusal = Refusal::Forbidden("this service takes no new accounts");

/// The name under which a token is stored.
fn name(token: &InviteToken) -> InviteName {
    let hash = Sha256::new().chain_update(b"hushwood delivery invite 1\0").chain_update(token.expose());
    InviteName(hash.finalize().into())
}
