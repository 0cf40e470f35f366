//! Who is to be added, from KeyPackages that were claimed for them.

use hushwood::credential::Claim;
use hushwood::error::{ApiMisuse, Error as ProtocolError};
use hushwood::framing::MlsMessage;
use hushwood::group::{Group, NewProposal};
use hushwood::key_package::{ValidKeyPackage, validate};
use hushwood_codec::Decode;
use hushwood_delivery::wire::{ClaimedKeyPackage, Recipient};

use crate::core::env::Env;
use crate::error::Error;
use crate::identity::{is_same_person, member};
use crate::settings::Millis;
use crate::voucher::vouchers;

/// Devices to be added.
#[derive(Default)]
pub(super) struct Joiners {
    pub(super) proposals: Vec<NewProposal<'static>>,
    /// Whose inbox each Welcome is for.
    pub(super) recipients: Vec<Recipient>,
    pub(super) claims: Vec<Claim>,
}

impl Env {
    /// Those of a person's devices that are not in the group, from KeyPackages that were claimed for them.
    pub(super) fn joiners(
        &mut self,
        group: &Group,
        (person, claimed): (&[u8], &[ClaimedKeyPackage]),
        now: Millis,
    ) -> Result<Joiners, Error> {
        let mut joiners = Joiners::default();
        for package in claimed {
            let valid = self.valid(package, now)?;
            let claim = valid.credential_check(now.seconds()).new;
            let who = member(&claim.credential, group.suite());
            if !is_same_person(&String::from_utf8_lossy(person), &who.person)
                || who.device.0 != package.device
            {
                return Err(Error::BadAnswer("a KeyPackage of somebody else"));
            }
            if group.tree().signature_key_at(&claim.signature_key)?.is_some() {
                continue;
            }
            let vouchers = vouchers([&valid.key_package().leaf_node]);
            let believed = self.judge.believes(&claim, &vouchers, (now.seconds(), group.suite()));
            if believed.is_err() {
                self.refused.insert(who, claim.clone());
            }
            believed?;
            match valid.check_lifetime(now.seconds()) {
                Ok(()) => {}
                Err(ProtocolError::ApiMisuse(ApiMisuse::KeyPackageExpired)) => {
                    return Err(Error::Void(
                        "an invitation waited until its KeyPackage expired: invite again",
                    ));
                }
                Err(error) => return Err(error.into()),
            }
            joiners.proposals.push(NewProposal::Add(Box::new(valid)));
            joiners.recipients.push(Recipient { account: package.account, device: package.device });
            joiners.claims.push(claim);
        }
        Ok(joiners)
    }

    fn valid(&self, package: &ClaimedKeyPackage, now: Millis) -> Result<ValidKeyPackage, Error> {
        let message = MlsMessage::from_bytes(&package.message).map_err(ProtocolError::from)?;
        let MlsMessage::KeyPackage(key_package) = message else {
            return Err(Error::BadAnswer("no KeyPackage"));
        };
        Ok(validate(*key_package, self.suite(), &self.policy, now.seconds())?)
    }
}
