//! `hushwood serve invite`: who may make an account where not everybody may.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use hushwood_delivery::backend::{Backend, Invite as Entry, Seconds};
use hushwood_delivery::service::invite;
use serde_json::json;

use crate::commands::serve::database::{Database, failed, refused};
use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::text;

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    Invite(Invite),
    Invites(List),
    Uninvite(Uninvite),
}

/// Make a token for new accounts, for a service that runs with --registration invited
///
/// The service may be running. Give the token to whom it is for: it is not shown again, and the database has only a hash of it.
/// Bots show it with --invite-token-file.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood serve invite > token\n  hushwood serve invite --uses 30 --days 1"
)]
pub(super) struct Invite {
    #[command(flatten)]
    database: Database,
    /// How many accounts may be made with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    uses: u32,
    /// For how many days it is good
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// List the tokens that are good, by their names
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood serve invites --data /var/lib/hushwood")]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
}

/// Take a token back
///
/// Accounts that were made with it stay.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood serve uninvite 5f0c27aa")]
pub(super) struct Uninvite {
    #[command(flatten)]
    database: Database,
    /// Its name, or the beginning of it, as `hushwood serve invites` shows it
    name: String,
}

impl Tokens {
    pub(super) async fn run(self, output: Output) -> Result<u8, Failure> {
        let now = now();
        let (command, report) = match self {
            Self::Invite(invite) => ("serve invite", invite.make(now, output).await?),
            Self::Invites(List { database }) => {
                ("serve invites", list(&all(&*backend(&database).await?, now).await?, now))
            }
            Self::Uninvite(uninvite) => ("serve uninvite", uninvite.take_back(now).await?),
        };
        output.finish(command, &report)
    }
}

impl Invite {
    async fn make(&self, now: Seconds, output: Output) -> Result<Report, Failure> {
        let not_after = Seconds(now.0.saturating_add(u64::from(self.days).saturating_mul(DAY)));
        let backend = backend(&self.database).await?;
        let token = invite(&*backend, self.uses, (now, not_after)).await.map_err(refused)?;
        // It is made of letters, digits, - and _.
        let token = String::from_utf8_lossy(token.expose()).into_owned();
        output.remark(format!(
            "for {}, good for {} days; it is not shown again:",
            accounts(self.uses),
            self.days
        ));
        Ok(Report::new()
            .line(&token)
            .fact("token", token.clone())
            .fact("uses", self.uses)
            .fact("not_after", not_after.0))
    }
}

impl Uninvite {
    async fn take_back(&self, now: Seconds) -> Result<Report, Failure> {
        let backend = backend(&self.database).await?;
        let wanted = self.name.to_ascii_lowercase();
        let all = all(&*backend, now).await?;
        let found: Vec<_> = all.iter().filter(|one| name(one).starts_with(&wanted)).collect();
        let [invite] = found.as_slice() else {
            let many = if found.is_empty() { "no token" } else { "more than one token" };
            return Err(Failure::refused(format!("{many} has a name that begins so"))
                .advise("`hushwood serve invites` lists those that are good"));
        };
        backend.forget_invite(invite.name).await.map_err(failed)?;
        Ok(Report::new().line(format!("{} is good no more", name(invite))).fact("name", name(invite)))
    }
}

fn list(invites: &[Entry], now: Seconds) -> Report {
    let mut report = Report::new();
    for one in invites {
        let hours = one.not_after.0.saturating_sub(now.0).div_ceil(60 * 60);
        report = report.line(format!("{}  {}, good for {hours} hours", name(one), accounts(one.left)));
    }
    if invites.is_empty() {
        report = report.line("no token is good");
    }
    let invites = invites
        .iter()
        .map(|one| json!({ "name": name(one), "left": one.left, "not_after": one.not_after.0 }));
    report.fact("invites", invites.collect::<Vec<_>>())
}

async fn backend(database: &Database) -> Result<std::sync::Arc<dyn Backend>, Failure> {
    Ok(database.open(&database.folder()?).await?.0)
}

async fn all(backend: &dyn Backend, now: Seconds) -> Result<Vec<Entry>, Failure> {
    backend.invites(now).await.map_err(failed)
}

/// The name by which it is shown: the beginning of its hash.
fn name(invite: &Entry) -> String {
    let (short, _) = invite.name.0.split_at(SHOWN);
    text::hex(short)
}

fn accounts(number: u32) -> String {
    if number == 1 { "one account".to_owned() } else { format!("{number} accounts") }
}

fn now() -> Seconds {
    Seconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Bytes of a name that are shown.
const SHOWN: usize = 8;

const DAY: u64 = 24 * 60 * 60;
