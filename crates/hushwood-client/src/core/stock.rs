//! KeyPackages in stock, so that we can be invited while we are away (RFC 9420 §10, RFC 9750 §5.1).

use hushwood::group::client::{forget_key_package, keep_key_package, key_packages};
use hushwood::key_package::KeyPackageBuilder;
use hushwood_delivery::wire::{PublishedKeyPackage, StockEntry};

use crate::core::Core;
use crate::core::work::Work;
use crate::error::Error;
use crate::records::{DEVICE, row};
use crate::settings::Millis;

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
        if !has_last_resort || is_old {
            packages.push(self.key_package(true, now, &mut work)?);
            self.env.device.record.last_resort_at = now.seconds().0;
            work.put(row(DEVICE, ""), self.env.device.record.to_row()?);
        }
        for (reference, private) in key_packages(&*self.env.store)? {
            // An invitation may have been on its way for a while.
            if private.not_after().saturating_add(EXPIRED_FOR) < now.seconds().0 {
                work.step(forget_key_package(&reference));
            }
        }
        self.persist(work)?;
        self.account.to_publish = packages;
        self.account.stock_at = Some(now.after(self.env.settings.stock_interval));
        Ok(())
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
        let new = builder.build(&env.device.signer, &env.policy, now.seconds(), &mut *env.random)?;
        let message = work.step(keep_key_package(new)?);
        Ok(PublishedKeyPackage { message })
    }
}

/// How long the keys of a KeyPackage are kept that has expired, in seconds.
const EXPIRED_FOR: u64 = 7 * 24 * 60 * 60;
