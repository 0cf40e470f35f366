//! `hushwood verify`: numbers to compare by another way.

use clap::Args;
use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;
use crate::identity;
use crate::names::GroupName;
use crate::output::{Output, Report};
use crate::pins::{self, NewPins};
use crate::room::{self, Room};
use crate::session::Session;
use crate::text;
use crate::words::Number;

/// Show numbers to compare in person or by phone, and accept those that were compared
///
/// Without a member: the number of the group's epoch, the same for all who have the same view of the
/// group. With one: that member's safety number, which they see with `hushwood identity show`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood verify tea\n  hushwood verify tea phone\n  hushwood verify tea phone --number '12345 67890 ...'\n  hushwood verify --accept phone '12345 67890 ...'"
)]
pub(crate) struct Verify {
    /// The group
    #[arg(required_unless_present = "accept")]
    name: Option<GroupName>,
    /// A member: a name, or leaf:N
    member: Option<String>,
    /// What the other side reads, digits or words: is it the same? A member then counts as verified
    #[arg(long)]
    number: Option<String>,
    /// From now on, whoever shows this name may have the key with this safety number (digits)
    #[arg(long, num_args = 2, value_names = ["WHO", "NUMBER"], conflicts_with_all = ["name", "number"])]
    accept: Option<Vec<String>>,
}

impl Verify {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let report = match (self.accept.as_deref(), &self.name, &self.member) {
            (Some([who, number]), _, _) => accept(&mut session, who, number)?,
            (_, Some(name), Some(member)) => self.verify_member(&mut session, name, member)?,
            (_, Some(name), None) => self.verify_epoch(&session, name)?,
            (_, None, _) => return Err(Failure::usage("name a group")),
        };
        output.finish("verify", &report)
    }

    fn verify_epoch(&self, session: &Session, name: &GroupName) -> Result<Report, Failure> {
        let room = Room::open(&session.home, name)?;
        let authenticator = match (room.group.epoch_authenticator(), room.ended()) {
            (Err(_), Some(ended)) => return Err(ended),
            (authenticator, _) => authenticator?,
        };
        let number = Number::of_epoch(identity::sha512()?, authenticator)?;
        let report = Report::new().fact("group", name.as_str()).fact("epoch", room.group.epoch());
        let report = numbers(report.line(format!("{name}, epoch {}:", room.group.epoch())), &number);
        match &self.number {
            None => Ok(report),
            Some(other) if number.is(other) => {
                Ok(report.line("the same: you have one view of the group").fact("same", true))
            }
            Some(_) => Err(differs("somebody is in another epoch, or you have been led apart")),
        }
    }

    fn verify_member(
        &self,
        session: &mut Session,
        name: &GroupName,
        member: &str,
    ) -> Result<Report, Failure> {
        let room = Room::open(&session.home, name)?;
        let leaf = room.member(member)?;
        let Some(view) = room.group.member(leaf)? else {
            return Err(Failure::refused(format!("nobody stands at leaf:{leaf}")));
        };
        let claim = room::claim(&view.leaf);
        let number = identity::number(&claim.credential, &claim.signature_key)?;
        let mut trust = pins::trust(&session.home, &claim)?;
        match &self.number {
            // A certificate is believed for whoever issued it; the number is compared and not kept.
            Some(other) if number.is(other) && trust == pins::Trust::Certified => {}
            Some(other) if number.is(other) => {
                session.home.retrying(|home| {
                    let (mut rows, mut pins) = (home.begin()?, NewPins::default());
                    pins.add(&claim, true)?;
                    pins.put(home, &mut rows)?;
                    home.write(rows)
                })?;
                trust = pins::Trust::Verified;
            }
            Some(_) => return Err(differs("one of you is not who the other thinks")),
            None => {}
        }
        let who = room::credential_name(&claim.credential);
        let report = Report::new()
            .line(format!("{who}, leaf:{leaf} of {name} ({}):", trust.name()))
            .fact("group", name.as_str())
            .fact("member", json!({ "leaf": leaf.number(), "name": who }))
            .fact("trust", trust.name());
        Ok(numbers(report, &number))
    }
}

fn numbers(report: Report, number: &Number) -> Report {
    report
        .line(format!("  {}", number.digits()))
        .line(format!("  {}", number.words()))
        .fact("number", json!({ "digits": number.digits(), "words": number.words() }))
}

fn differs(why: &str) -> Failure {
    Failure::refused("the numbers differ")
        .advise(format!("{why}: say nothing in the group until you know why"))
}

fn accept(session: &mut Session, who: &str, number: &str) -> Result<Report, Failure> {
    let digits: String = number.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 60 || !digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(
            Failure::usage("a safety number has 60 digits").advise("give it in quotes, as it was printed")
        );
    }
    let groups: Vec<_> = digits.as_bytes().chunks(5).map(String::from_utf8_lossy).collect();
    let digits = groups.join(" ");
    let identity = match who.strip_prefix("0x").and_then(text::from_hex) {
        Some(bytes) => bytes,
        None => who.as_bytes().to_vec(),
    };
    session.home.retrying(|home| {
        let (mut rows, mut pins) = (home.begin()?, NewPins::default());
        pins.accept(&identity, &digits);
        pins.put(home, &mut rows)?;
        home.write(rows)
    })?;
    let who = text::name(&identity);
    Ok(Report::new()
        .line(format!("`{who}` may have the key with {digits}"))
        .fact("name", who)
        .fact("digits", digits))
}
