//! Who is who: the key that somebody showed first is theirs, until a person says otherwise.
//!
//! A basic credential is a bare name (RFC 9420 §5.3), so this home remembers the safety number behind
//! each. The first use of a name is reported; another number for a known name is refused, until
//! somebody who has compared it accepts it.

use std::cell::RefCell;

use hushwood::credential::{
    self, Claim, Credential, CredentialCheck, CredentialValidator, Verdict, Verdicts,
};
use hushwood::error::{Error, StoreReadError};
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::Secret;

use crate::failure::{Class, Failure};
use crate::home::{Home, Rows};
use crate::identity;
use crate::text;
use crate::words::Number;

const PREFIX: &str = "pin/";
const VERSION: u8 = 1;

wire_struct! {
    /// What is known of a name.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct Pins {
        version: u8,
        pins: Vec<Pin>,
    }
}

wire_struct! {
    /// A number that stands for the name.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct Pin {
        /// The safety number's digits.
        digits: Vec<u8>,
        /// 1 if a person has compared it.
        verified: u8,
    }
}

impl Pins {
    fn of(home: &Home, identity: &[u8]) -> Result<Self, Failure> {
        match home.row(&row_id(identity))? {
            None => Ok(Self { version: VERSION, pins: Vec::new() }),
            Some(row) => match Self::from_bytes(row.expose()) {
                Ok(pins) if pins.version == VERSION => Ok(pins),
                Ok(_) | Err(_) => Err(StoreReadError::Corrupt.into()),
            },
        }
    }

    fn find(&self, number: &Number) -> Option<&Pin> {
        let digits = number.digits();
        self.pins.iter().find(|pin| pin.digits == digits.as_bytes())
    }

    fn put(&self, rows: &mut Rows, identity: &[u8]) -> Result<(), Failure> {
        rows.put(&row_id(identity), Secret::new(self.to_bytes().map_err(Error::from)?));
        Ok(())
    }
}

fn row_id(identity: &[u8]) -> String {
    format!("{PREFIX}{}", text::hex(identity))
}

/// How well the key behind a name is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trust {
    /// A person compared the number.
    Verified,
    /// It is the one that was seen first.
    FirstSeen,
    /// It is not the one that was seen first.
    Changed,
    /// The name has not been seen.
    Unknown,
}

impl Trust {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::FirstSeen => "first seen",
            Self::Changed => "changed",
            Self::Unknown => "unknown",
        }
    }
}

/// How well this key is known for this credential.
pub(crate) fn trust(home: &Home, claim: &Claim) -> Result<Trust, Failure> {
    let Credential::Basic { identity } = &claim.credential else { return Ok(Trust::Unknown) };
    let pins = Pins::of(home, identity)?;
    let number = identity::number(&claim.credential, &claim.signature_key)?;
    Ok(match pins.find(&number) {
        Some(pin) if pin.verified == 1 => Trust::Verified,
        Some(_) => Trust::FirstSeen,
        None if pins.pins.is_empty() => Trust::Unknown,
        None => Trust::Changed,
    })
}

/// Remembers a number for a name, as compared by a person or not.
pub(crate) fn pin(
    home: &Home,
    rows: &mut Rows,
    identity: &[u8],
    digits: &str,
    verified: bool,
) -> Result<(), Failure> {
    let mut pins = Pins::of(home, identity)?;
    pins.pins.retain(|pin| pin.digits != digits.as_bytes());
    pins.pins.push(Pin { digits: digits.as_bytes().to_vec(), verified: verified.into() });
    pins.put(rows, identity)
}

/// Judges credentials by what is pinned.
pub(crate) struct Judge<'h> {
    home: &'h Home,
    findings: RefCell<Vec<Finding>>,
}

#[derive(Clone, Debug)]
struct Finding {
    identity: Vec<u8>,
    number: Option<Number>,
    kind: FindingKind,
}

#[derive(Clone, Debug)]
enum FindingKind {
    FirstUse,
    Changed,
    NotBasic,
    Broken(Failure),
}

impl<'h> Judge<'h> {
    pub(crate) fn new(home: &'h Home) -> Self {
        Self { home, findings: RefCell::default() }
    }

    /// Judges all checks of something received. If one is refused, says whose and what to do.
    pub(crate) fn judge(&self, checks: &[CredentialCheck]) -> Result<Verdicts, Failure> {
        let verdicts = credential::judge(checks, self);
        let refused = self.findings.borrow().iter().find_map(Finding::refusal);
        match refused {
            Some(failure) => Err(failure),
            None => Ok(verdicts),
        }
    }

    /// Pins what was seen for the first time and tells the names and their numbers.
    pub(crate) fn first_uses(self, rows: &mut Rows) -> Result<Vec<(String, Number)>, Failure> {
        let mut told = Vec::new();
        for Finding { identity, number, .. } in self.findings.into_inner() {
            let Some(number) = number else { continue };
            pin(self.home, rows, &identity, &number.digits(), false)?;
            let name = text::name(&identity);
            if !told.contains(&(name.clone(), number)) {
                told.push((name, number));
            }
        }
        Ok(told)
    }

    fn look(&self, claim: &Claim) -> Result<Option<Finding>, Failure> {
        let Credential::Basic { identity } = &claim.credential else {
            return Ok(Some(Finding { identity: Vec::new(), number: None, kind: FindingKind::NotBasic }));
        };
        let number = identity::number(&claim.credential, &claim.signature_key)?;
        // Two members of one name in one Welcome: the second must not pass as the first.
        let before = self.findings.borrow().iter().find(|finding| finding.identity == *identity).cloned();
        let kind = match (trust(self.home, claim)?, before) {
            (Trust::Verified | Trust::FirstSeen, _) => return Ok(None),
            (Trust::Unknown, Some(before)) if before.number != Some(number) => FindingKind::Changed,
            (Trust::Unknown, _) => FindingKind::FirstUse,
            (Trust::Changed, _) => FindingKind::Changed,
        };
        Ok(Some(Finding { identity: identity.clone(), number: Some(number), kind }))
    }
}

impl CredentialValidator for Judge<'_> {
    fn judge(&self, check: &CredentialCheck) -> Verdict {
        // A member keeps its name, whatever its key.
        let renamed = check.old.as_ref().is_some_and(|old| old.credential != check.new.credential);
        let finding = match self.look(&check.new) {
            Ok(None) if renamed => None,
            Ok(None) => return Verdict::Accept,
            Ok(Some(finding)) => Some(finding),
            Err(failure) => {
                Some(Finding { identity: Vec::new(), number: None, kind: FindingKind::Broken(failure) })
            }
        };
        let accepted = !renamed && finding.as_ref().is_some_and(|f| matches!(f.kind, FindingKind::FirstUse));
        self.findings.borrow_mut().extend(finding);
        if accepted { Verdict::Accept } else { Verdict::Refuse }
    }
}

impl Finding {
    fn refusal(&self) -> Option<Failure> {
        let name = text::name(&self.identity);
        match (&self.kind, &self.number) {
            (FindingKind::FirstUse, _) => None,
            (FindingKind::Changed, Some(number)) => Some(changed(&name, number)),
            (FindingKind::Changed | FindingKind::NotBasic, _) => Some(Failure::new(
                Class::Unsupported,
                "a member's credential is of a type that this program does not judge",
            )),
            (FindingKind::Broken(failure), _) => Some(failure.clone()),
        }
    }
}

fn changed(name: &str, number: &Number) -> Failure {
    Failure::refused(format!(
        "`{name}` shows another key than the one known; its safety number is {}",
        number.digits()
    ))
    .advise(format!(
        "ask `{name}` in person or by phone for their number (`hushwood identity show`); if it is this one, \
             `hushwood verify --accept '{name}' '{}'` and try again; if not, somebody poses as them",
        number.digits()
    ))
}
