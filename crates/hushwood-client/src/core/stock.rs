//! KeyPackages in stock, so that we can be invited while we are away (RFC 9420 §10, RFC 9750 §5.1).

use hushwood::group::client::{forget_key_package, keep_key_package, key_packages};
use hushwood::key_package::KeyPackageBuilder;
use hushwood_delivery::wire::{PublishedKeyPackage, StockEntry};

use crate::core::Core;
use crate::core::work::Work;
use crate::error::Error;
use crate::settings::{Millis, millis};

impl Core {
    /// Makes what is missing with the service, and forgets what has expired here.
    pub(super) fn restock(&mut self, entries: &[StockEntry], now: Millis) -> Result<(), Error> {
        let suite = self.env.suite().id().0;
        let entry = entries.iter().find(|entry| entry.suite == suite);
        let left = entry.map_or(0, |entry| entry.left);
        let has_last_resort =
            entry.is_some_and(|entry| entry.last_resort != 0 && entry.last_resort_used == 0);
        let made = self.env.device.record.last_resort_at;
        let is_old = now.seconds().0.saturating_sub(made) > self.env.policy.lifetime / 2;
        let missing = match left <= self.env.settings.stock_low {
            true => self.env.settings.stock.saturating_sub(left),
            false => 0,
        };

        let mut work = Work::new();
        let mut packages = Vec::new();
        for _ in 0..missing {
            packages.push(self.key_package(false, now, &mut work)?);
        }
        // RFC 9750 §5.1, A035: one of last resort goes when it was used, or is old.
        self.account.last_resort_made = None;
        if !has_last_resort || is_old {
            packages.push(self.key_package(true, now, &mut work)?);
            self.account.last_resort_made = Some(now.seconds().0);
        }
        let kept = key_packages(&*self.env.store)?;
        // The one of last resort that the service has: others that are older were replaced by it (A037).
        let current = made.saturating_add(self.env.policy.lifetime);
        let is_there =
            kept.iter().any(|(_, private)| private.is_last_resort() && private.not_after() == current);
        // An invitation may have been on its way for a while.
        let is_past = |at: u64| at.saturating_add(LATE_FOR) < now.seconds().0;
        for (reference, private) in kept {
            let is_replaced = is_there && private.is_last_resort() && private.not_after() < current;
            if is_past(private.not_after()) || is_replaced && is_past(made) {
                work.step(forget_key_package(&reference));
            }
        }
        self.persist(work)?;
        self.account.to_publish = packages;
        self.account.stock_at = Some(now.after(millis(self.env.settings.stock_interval)));
        Ok(())
    }

    /// KeyPackages are with the service. From now on those are counted as replaced that were there before.
    pub(super) fn published(&mut self) -> Result<(), Error> {
        match self.account.last_resort_made {
            Some(made) if self.account.to_publish.is_empty() => {
                self.account.last_resort_made = None;
                self.env.device.record.last_resort_at = made;
                self.put_device()
            }
            Some(_) | None => Ok(()),
        }
    }

    fn key_package(
        &mut self,
        last_resort: bool,
        now: Millis,
        work: &mut Work,
    ) -> Result<PublishedKeyPackage, Error> {
        let env = &mut self.env;
        let builder = KeyPackageBuilder::new(env.suite(), env.leaf_content());
        let builder = if last_resort { builder.last_resort() } else { builder };
        let new = builder.build(&*env.device.signer, &env.policy, now.seconds(), &mut *env.random)?;
        let message = work.step(keep_key_package(new)?);
        Ok(PublishedKeyPackage { message })
    }
}

/// How long the keys of a KeyPackage are kept that has expired or was replaced, in seconds.
const LATE_FOR: u64 = 7 * 24 * 60 * 60;
