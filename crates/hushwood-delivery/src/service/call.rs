//! Which rule answers which request, and how a refusal is told.

use std::time::Duration;

use crate::backend::BackendError;
use crate::service::Service;
use crate::wire::{
    Answer, Call, ClaimAnswer, DevicesAnswer, InboxAnswer, Nothing, Refusal, RefusalCode, Refused,
    StockAnswer,
};

impl Service {
    /// Answers a request, whatever carries it. A device's token is looked at where the request asks for one
    /// ([`CallKind::access`](crate::wire::CallKind::access)).
    ///
    /// # Errors
    /// [`Refusal`]; [`Refused::from`] is what to tell of it.
    pub async fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, Refusal> {
        let device = || self.device(token.ok_or(Refusal::Unauthorized("no token: log in"))?);
        let nothing = |(): ()| Nothing;
        Ok(match call {
            Call::Challenge(Nothing) => Answer::Challenge(self.challenge()?),
            Call::Register(registration) => Answer::Register(self.register(registration).await.map(nothing)?),
            Call::Login(login) => Answer::Login(self.login(login).await?),
            Call::Devices(Nothing) => {
                Answer::Devices(DevicesAnswer { devices: self.devices(device()?).await? })
            }
            Call::Revoke(request) => {
                Answer::Revoke(self.revoke(device()?, request.device).await.map(nothing)?)
            }
            Call::Publish(request) => {
                Answer::Publish(self.publish(device()?, request.packages).await.map(nothing)?)
            }
            Call::Stock(Nothing) => Answer::Stock(StockAnswer { entries: self.stock(device()?).await? }),
            Call::Claim(request) => {
                Answer::Claim(ClaimAnswer { packages: self.claim(device()?, request).await? })
            }
            Call::Inbox(request) => {
                let after = request.after.map(|id| id.0);
                Answer::Inbox(InboxAnswer { welcomes: self.inbox(device()?, after).await? })
            }
            Call::Acknowledge(request) => {
                let ids = request.ids.into_iter().map(|id| id.0).collect();
                Answer::Acknowledge(self.acknowledge(device()?, ids).await.map(nothing)?)
            }
            Call::CreateGroup(request) => {
                Answer::CreateGroup(self.create_group(device()?, request).await.map(nothing)?)
            }
            Call::Commit(request) => Answer::Commit(self.commit(request).await?),
            Call::Send(request) => Answer::Send(self.send(request).await?),
            Call::Propose(request) => Answer::Propose(self.propose(device()?, request).await?),
            Call::Read(request) => Answer::Read(self.read(request).await?),
            Call::Head(request) => Answer::Head(self.head(&request).await?),
            Call::GroupInfo(request) => Answer::GroupInfo(self.group_info(&request).await?),
            Call::Tree(request) => Answer::Tree(self.tree(&request).await?),
        })
    }
}

/// What a client is told. What the database says of itself stays here.
impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Self {
        let code = match refusal {
            Refusal::Malformed(_) => RefusalCode::MALFORMED,
            Refusal::Unauthorized(_) => RefusalCode::UNAUTHORIZED,
            Refusal::Forbidden(_) => RefusalCode::FORBIDDEN,
            Refusal::NotFound(_) => RefusalCode::NOT_FOUND,
            Refusal::Taken(_) => RefusalCode::TAKEN,
            Refusal::Revoked => RefusalCode::REVOKED,
            Refusal::OtherName => RefusalCode::OTHER_NAME,
            Refusal::Full(_) => RefusalCode::FULL,
            Refusal::Invalid(_) => RefusalCode::INVALID,
            Refusal::TooLarge(_) => RefusalCode::TOO_LARGE,
            Refusal::TooMany(time) => {
                return Self::new(RefusalCode::TOO_MANY, refusal.to_string()).after(*time);
            }
            Refusal::Failed(error) => return failed(error),
        };
        Self::new(code, refusal.to_string())
    }
}

fn failed(error: &BackendError) -> Refused {
    /// A disk that is full or a database that has gone does not come back in a second.
    const LATER: Duration = Duration::from_secs(10);
    let refused = |text: &str| Refused::new(RefusalCode::FAILED, text);
    match error {
        BackendError::Busy => {
            Refused::new(RefusalCode::TOO_MANY, error.to_string()).after(Duration::from_secs(1))
        }
        BackendError::Corrupt(_) => {
            refused("the service's database is damaged: only its operator can help; nothing was changed")
        }
        BackendError::Full => {
            refused("the service has no space left; nothing was changed: try again later").after(LATER)
        }
        BackendError::Unavailable(_) => {
            refused("the service can't reach its database; nothing was changed: try again later").after(LATER)
        }
        BackendError::Unknown(_) => Refused {
            may_have_happened: true,
            ..refused("the service failed while writing: ask again with the same request name").after(LATER)
        },
    }
}
