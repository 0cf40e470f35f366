//! `hushwood key-package`: what others need to invite this home.

use clap::Args;
use hushwood::group::client;
use hushwood::key_package::KeyPackageBuilder;
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::Lifetime;

use crate::args::Global;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{Destination, Output, Report};
use crate::session::{self, Session};
use crate::suite_arg::{self, SuiteArg};
use crate::system::OsRandom;
use crate::text;

/// Make a key package: what others need to invite you
///
/// Give each to one group only, except one of last resort, which serves until others are there again.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood key-package > phone.kp\n  hushwood key-package --last-resort --days 30 --armor | mail desk@example.org"
)]
pub(crate) struct KeyPackageCommand {
    /// The cipher suite of the groups it is for: a number or a name
    #[arg(long, default_value = suite_arg::DEFAULT)]
    suite: SuiteArg,
    /// For use more than once, when there is no other
    #[arg(long)]
    last_resort: bool,
    /// How long it can be used
    #[arg(long, default_value_t = 84, value_parser = clap::value_parser!(u64).range(1..=84))]
    days: u64,
    /// How many to make, in one file
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    #[command(flatten)]
    destination: Destination,
}

impl KeyPackageCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        self.destination.check(output)?;
        let suite = session::suite(self.suite.0)?;
        let Session { mut home, identity, .. } = Session::open(global, output)?;
        let signer = identity.signer(suite)?;
        let mut builder = KeyPackageBuilder::new(suite, identity.leaf_content());
        if self.last_resort {
            builder = builder.last_resort();
        }
        let (policy, now) = (Policy::default(), text::now());
        let not_before = now.0.saturating_sub(60 * 60);
        let not_after = now.0.saturating_add(self.days * 24 * 60 * 60);
        builder = builder.lifetime(Lifetime { not_before, not_after });
        forget_expired(&mut home, now)?;
        let (mut messages, mut references) = (Vec::new(), Vec::new());
        for _ in 0..self.count {
            let new = builder.build(signer, &policy, now, &mut OsRandom)?;
            references.push(text::hex(&new.reference.0));
            let step = client::keep_key_package(new)?;
            messages.extend(home.commit(step)?);
        }
        let until = text::moment(Timestamp(not_after));
        let what = text::count(usize::from(self.count), "key package", "key packages");
        let report = Report::new()
            .line(format!("{what} of {} until {until}", identity.name()))
            .fact("name", identity.name())
            .fact("cipher_suite", suite.id().to_string())
            .fact("not_after", until)
            .fact("last_resort", self.last_resort)
            .fact("references", references);
        output.finish("key-package", &self.destination.write(output, &messages, report)?)
    }
}

/// Erases the private keys of key packages that nobody can use any more: a Welcome that was made in time
/// has a week to arrive.
fn forget_expired(home: &mut Home, now: Timestamp) -> Result<(), Failure> {
    const WEEK: u64 = 7 * 24 * 60 * 60;
    for (reference, private) in client::key_packages(&home.store)? {
        if private.not_after().saturating_add(WEEK) < now.0 {
            home.commit(client::forget_key_package(&reference))?;
        }
    }
    Ok(())
}
