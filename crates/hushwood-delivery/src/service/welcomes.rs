//! Welcomes on their way from a group to the inboxes of those whom it adds.
//!
//! They are written with their commit, and carried after that by one task for the whole node, which a commit wakes. What it
//! has not carried, because it crashed or an inbox was full, is still there the next time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushwood::framing::MlsMessage;
use hushwood::welcome::Welcome;
use hushwood_codec::Encode;
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::backend::{
    AccountId, Backend, BackendError, Delivered, Delivery, DeviceId, NewWelcome, OutgoingWelcome, Seconds,
};
use crate::service::group::message;
use crate::service::{Device, ServiceSettings};
use crate::wire::{CommitRequest, Refusal};

/// The Welcomes of a commit.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// One for each joiner, without its end.
    pub(super) welcomes: Vec<NewWelcome>,
    /// The end of all of them: the encrypted GroupInfo, which is the last field of a Welcome.
    pub(super) shared: Vec<u8>,
}

/// A Welcome for each joiner: what the others get is not for them to see, and a large one is not sent many times
/// (RFC 9420 §12.4.3.1 allows it). Together they are not larger than that when they have arrived; until then what they share is
/// there once.
pub(super) fn split(request: &CommitRequest, max: usize) -> Result<Split, Refusal> {
    let Some(welcome) = &request.welcome else {
        return match request.recipients.is_empty() {
            true => Ok(Split::default()),
            false => Err(Refusal::Malformed("there are recipients and no Welcome".to_owned())),
        };
    };
    let MlsMessage::Welcome(welcome) = message(welcome)? else {
        return Err(Refusal::Malformed("this is no Welcome in an MLSMessage".to_owned()));
    };
    let Welcome { cipher_suite, secrets, encrypted_group_info } = welcome;
    if secrets.len() != request.recipients.len() {
        return Err(Refusal::Malformed(
            "a Welcome comes with a recipient for each of its secrets".to_owned(),
        ));
    }
    if secrets.len().saturating_mul(encrypted_group_info.len()) > max {
        return Err(Refusal::TooLarge(
            "the Welcomes of one commit: add fewer at once, or leave the tree out",
        ));
    }
    let too_large = |_| Refusal::TooLarge("a Welcome");
    let shared = encrypted_group_info.to_bytes().map_err(too_large)?;
    let each = secrets.into_iter().zip(&request.recipients).map(|(secrets, recipient)| {
        let reference = secrets.new_member.0.clone();
        let welcome = Welcome { cipher_suite, secrets: vec![secrets], encrypted_group_info: Vec::new() };
        let mut body = MlsMessage::Welcome(welcome).to_bytes().map_err(too_large)?;
        // The length of a GroupInfo that is not there, one octet.
        body.pop();
        Ok(NewWelcome {
            account: AccountId(recipient.account),
            device: DeviceId(recipient.device),
            id: Sha256::new().chain_update(&body).chain_update(&shared).finalize().into(),
            reference,
            body,
        })
    });
    let welcomes = each.collect::<Result<_, Refusal>>()?;
    Ok(Split { welcomes, shared })
}

/// Carries all that is due, and tells whose inboxes have something new.
pub(super) async fn carry(
    backend: &Arc<dyn Backend>,
    settings: &ServiceSettings,
    news: &broadcast::Sender<Device>,
) -> Result<(), BackendError> {
    /// So many are read at once, and so many carried at a time.
    const AT_ONCE: u32 = 64;
    loop {
        let now = (settings.clock)();
        let outgoing = backend.outgoing(now, AT_ONCE).await?;
        if outgoing.is_empty() {
            return Ok(());
        }
        let mut running = JoinSet::new();
        for one in outgoing {
            let (backend, limit) = (backend.clone(), settings.inbox);
            running.spawn(async move {
                let OutgoingWelcome { group, welcome, at } = one;
                let (id, device) = (welcome.id, Device { account: welcome.account, device: welcome.device });
                let delivered = backend.deliver(Delivery { welcome, limit, at: now }).await;
                ((group, id), at, (delivered, device))
            });
        }
        let mut carried: BTreeMap<Vec<u8>, Vec<[u8; 32]>> = BTreeMap::new();
        let mut failed = None;
        while let Some(done) = running.join_next().await {
            // A task that was cut off has not carried anything.
            let Ok(((group, id), at, (delivered, device))) = done else { continue };
            if matches!(delivered, Ok(Delivered::New)) {
                // Nobody may be listening.
                drop(news.send(device));
            }
            match delivered {
                Ok(Delivered::New | Delivered::Known | Delivered::Unwanted) => {
                    carried.entry(group).or_default().push(id);
                }
                Ok(Delivered::Full) => match later(at, now, settings.welcome_retention) {
                    Some(until) => backend.postpone(&group, vec![id], until).await?,
                    None => carried.entry(group).or_default().push(id),
                },
                Err(error) => failed = Some(error),
            }
        }
        for (group, ids) in carried {
            backend.carried(&group, ids).await?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
    }
}

/// When to try again what has waited since then: the longer it has waited, the later. Not at all after so long a time.
fn later(at: Seconds, now: Seconds, retention: Duration) -> Option<Seconds> {
    let age = now.0.saturating_sub(at.0);
    let wait = age.checked_div(2).unwrap_or_default().clamp(10, 60 * 60);
    (age < retention.as_secs()).then(|| Seconds(now.0.saturating_add(wait)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_has_waited_the_later_it_is_tried_again() {
        let retention = Duration::from_secs(30 * 24 * 60 * 60);
        let wait = |age| later(Seconds(1000), Seconds(1000 + age), retention).map(|at| at.0 - 1000 - age);
        assert_eq!(wait(0), Some(10));
        assert_eq!(wait(100), Some(50));
        assert_eq!(wait(100_000), Some(3600));
        assert_eq!(wait(30 * 24 * 60 * 60), None);
    }
}
