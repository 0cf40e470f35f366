//! Who is who: the key that somebody showed first is theirs, until a person says otherwise.
//!
//! A basic credential is a bare name (RFC 9420 §5.3), so this home remembers the safety number behind
//! each. The first use of a name is reported; another number for a known name is refused, until
//! somebody who has compared it accepts it.

use std::cell::{OnceCell, RefCell};

use hushwood::credential::x509::{self, X509Error, X509Validator};
use hushwood::credential::{
    self, Claim, Credential, CredentialCheck, CredentialValidator, Subject, Verdict, Verdicts,
};
use hushwood::error::{Error, StoreReadError};
use hushwood::policy::Timestamp;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::Secret;

use crate::anchors;
use crate::failure::{Class, Failure};
use crate::home::{Home, Rows};
use crate::identity::{self, Identity};
use crate::room::credential_name;
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
        /// The key's length, which tells its signature scheme; 0 if only the number is known.
        key_length: u16,
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

    /// True if another key of the same signature scheme is known.
    fn has_other(&self, key_length: u16) -> bool {
        self.pins.iter().any(|pin| pin.key_length == key_length)
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
    /// A certificate says so that somebody issued whom this home trusts.
    Certified,
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
            Self::Certified => "certified",
            Self::FirstSeen => "first seen",
            Self::Changed => "changed",
            Self::Unknown => "unknown",
        }
    }
}

/// How well this key is known for this credential.
pub(crate) fn trust(home: &Home, claim: &Claim) -> Result<Trust, Failure> {
    let identity = match &claim.credential {
        Credential::Basic { identity } => identity,
        Credential::X509 { .. } => {
            return Ok(match anchors::validator(home)?.validate(claim, text::now()) {
                Ok(_) => Trust::Certified,
                Err(_) => Trust::Unknown,
            });
        }
        Credential::Custom { .. } => return Ok(Trust::Unknown),
    };
    let pins = Pins::of(home, identity)?;
    let number = identity::number(&claim.credential, &claim.signature_key)?;
    Ok(match pins.find(&number) {
        Some(pin) if pin.verified == 1 => Trust::Verified,
        Some(_) => Trust::FirstSeen,
        None if pins.has_other(key_length(claim)) => Trust::Changed,
        None => Trust::Unknown,
    })
}

/// Numbers to remember.
#[derive(Debug, Default)]
pub(crate) struct NewPins(std::collections::BTreeMap<Vec<u8>, Vec<Pin>>);

impl NewPins {
    /// A key that was seen with a name, or compared by a person.
    pub(crate) fn add(&mut self, claim: &Claim, verified: bool) -> Result<(), Failure> {
        let Credential::Basic { identity } = &claim.credential else { return Ok(()) };
        let number = identity::number(&claim.credential, &claim.signature_key)?;
        self.insert(identity, &number.digits(), key_length(claim), verified);
        Ok(())
    }

    /// A number that a person has compared, whatever the key behind it.
    pub(crate) fn accept(&mut self, identity: &[u8], digits: &str) {
        self.insert(identity, digits, 0, true);
    }

    fn insert(&mut self, identity: &[u8], digits: &str, key_length: u16, verified: bool) {
        let pin = Pin { digits: digits.as_bytes().to_vec(), key_length, verified: verified.into() };
        self.0.entry(identity.to_vec()).or_default().push(pin);
    }

    /// Adds them to what is known.
    pub(crate) fn put(self, home: &Home, rows: &mut Rows) -> Result<(), Failure> {
        for (identity, new) in self.0 {
            let mut pins = Pins::of(home, &identity)?;
            pins.pins.retain(|old| new.iter().all(|new| new.digits != old.digits));
            pins.pins.extend(new);
            rows.put(&row_id(&identity), Secret::new(pins.to_bytes().map_err(Error::from)?));
        }
        Ok(())
    }
}

/// All signature schemes have keys of different lengths.
fn key_length(claim: &Claim) -> u16 {
    u16::try_from(claim.signature_key.0.len()).unwrap_or(u16::MAX)
}

/// Judges credentials by what is pinned.
pub(crate) struct Judge<'h> {
    home: &'h Home,
    /// What judges certificates, once there is one to judge.
    validator: OnceCell<X509Validator>,
    findings: RefCell<Vec<Finding>>,
}

/// Something about a claim that has to be told, or that refuses it.
#[derive(Clone, Debug)]
enum Finding {
    FirstUse(Claim, Number),
    Changed(Claim, Number),
    /// A certificate is not accepted.
    Certificate(Credential, X509Error),
    /// The type of the credential is unknown here.
    Custom,
    Broken(Failure),
}

impl<'h> Judge<'h> {
    pub(crate) fn new(home: &'h Home) -> Self {
        Self { home, validator: OnceCell::new(), findings: RefCell::default() }
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
        let (mut pins, mut told) = (NewPins::default(), Vec::new());
        for finding in self.findings.into_inner() {
            let Finding::FirstUse(claim, number) = finding else { continue };
            pins.add(&claim, false)?;
            told.push((credential_name(&claim.credential), number));
        }
        pins.put(self.home, rows)?;
        Ok(told)
    }

    /// What there is to say about a claim; nothing if it is known.
    fn look(&self, claim: &Claim, now: Timestamp) -> Result<Option<Finding>, Failure> {
        match claim.credential {
            Credential::Basic { .. } => {}
            Credential::X509 { .. } => return self.look_at_certificate(claim, now),
            Credential::Custom { .. } => return Ok(Some(Finding::Custom)),
        }
        let number = identity::number(&claim.credential, &claim.signature_key)?;
        let changed = || Some(Finding::Changed(claim.clone(), number));
        let finding = match trust(self.home, claim)? {
            Trust::Verified | Trust::Certified | Trust::FirstSeen => None,
            Trust::Changed => changed(),
            // Two members of one name in one message: the second must not pass as the first.
            Trust::Unknown => match self.first_use_of(claim) {
                Some(first) if first == number => None,
                Some(_) => changed(),
                None => Some(Finding::FirstUse(claim.clone(), number)),
            },
        };
        Ok(finding)
    }

    /// RFC 9420 §5.3.1: whoever has a certificate is judged by it. Ours is nothing to be judged.
    fn look_at_certificate(&self, claim: &Claim, now: Timestamp) -> Result<Option<Finding>, Failure> {
        let validator = match self.validator.get() {
            Some(validator) => validator,
            None => {
                let validator = anchors::validator(self.home)?;
                self.validator.get_or_init(|| validator)
            }
        };
        let Err(error) = validator.validate(claim, now) else { return Ok(None) };
        // A home that is about to be made has no identity yet, and nobody to judge.
        let own = Identity::load(self.home)?.is(claim);
        Ok((!own).then(|| Finding::Certificate(claim.credential.clone(), error)))
    }

    /// Whether a member that shows another key vouches for it with the one that is known: an Update or a
    /// commit is signed with the old key. An external commit in place of a member is not.
    fn is_vouched(&self, check: &CredentialCheck) -> bool {
        let Some(old) = &check.old else { return false };
        matches!(check.subject, Subject::Updated(_) | Subject::Committer(_))
            && matches!(trust(self.home, old), Ok(Trust::Verified | Trust::FirstSeen))
    }

    /// The number that this name was first seen with, a moment ago.
    fn first_use_of(&self, claim: &Claim) -> Option<Number> {
        self.findings.borrow().iter().find_map(|finding| match finding {
            Finding::FirstUse(first, number)
                if first.credential == claim.credential && key_length(first) == key_length(claim) =>
            {
                Some(*number)
            }
            _ => None,
        })
    }
}

impl CredentialValidator for Judge<'_> {
    fn judge(&self, check: &CredentialCheck) -> Verdict {
        // A member keeps its name, whatever its key.
        let renamed =
            check.old.as_ref().is_some_and(|old| !same_user(&old.credential, &check.new.credential));
        let finding =
            self.look(&check.new, check.now).unwrap_or_else(|failure| Some(Finding::Broken(failure)));
        let finding = match finding {
            Some(Finding::Changed(claim, number)) if self.is_vouched(check) => {
                Some(Finding::FirstUse(claim, number))
            }
            finding => finding,
        };
        let known = matches!(finding, None | Some(Finding::FirstUse(..)));
        self.findings.borrow_mut().extend(finding);
        if known && !renamed { Verdict::Accept } else { Verdict::Refuse }
    }
}

impl Finding {
    fn refusal(&self) -> Option<Failure> {
        match self {
            Self::FirstUse(..) => None,
            Self::Changed(claim, number) => Some(changed(&claim.credential, number)),
            Self::Certificate(credential, error) => Some(uncertified(credential, *error)),
            Self::Custom => {
                let message = "a member's credential is of a type that this program does not judge";
                Some(Failure::new(Class::Unsupported, message))
            }
            Self::Broken(failure) => Some(failure.clone()),
        }
    }
}

/// RFC 9420 §5.3.1, C052: a new certificate names the same as the old one; a name stays what it is.
fn same_user(old: &Credential, new: &Credential) -> bool {
    match (x509::presented(old), x509::presented(new)) {
        (Ok(old), Ok(new)) => old == new,
        _ => old == new,
    }
}

fn uncertified(credential: &Credential, error: X509Error) -> Failure {
    let message = format!("the certificate of `{}` is not accepted: {error}", credential_name(credential));
    Failure::refused(message).advise(match error {
        X509Error::Untrusted => {
            "if you trust whoever issued it, `hushwood trust add CERTIFICATE` with the issuer's root and try again"
        }
        X509Error::Expired | X509Error::NotYetValid => "ask them to get a new one; see also that your clock is right",
        X509Error::Revoked => "whoever issued it has taken it back: keep them out",
        _ => "ask them to get another one; `hushwood inspect` shows what was sent",
    })
}

fn changed(credential: &Credential, number: &Number) -> Failure {
    let (name, digits) = (credential_name(credential), number.digits());
    let word = match credential {
        Credential::Basic { identity } => text::identity_word(identity),
        Credential::X509 { .. } | Credential::Custom { .. } => text::shell_word(&name),
    };
    let message = format!("`{name}` shows another key than the one known; its safety number is {digits}");
    Failure::refused(message).advise(format!(
        "ask `{name}` in person or by phone for their number (`hushwood identity show`); if it is this one, \
         `hushwood verify --accept {word} '{digits}'` and try again; if not, somebody poses as them"
    ))
}
