//! A group as the commands use it: by its local name, with the identity that speaks in it.

use hushwood::credential::{Claim, Credential};
use hushwood::error::{Error, NotNow};
use hushwood::framing::Sender;
use hushwood::group::{Group, Status};
use hushwood::transition::InstanceId;
use hushwood::tree::{LeafIndex, LeafNode};
use hushwood_crypto::CipherSuiteId;
use serde_json::{Value, json};

use crate::certificates;
use crate::failure::Failure;
use crate::home::Home;
use crate::names::{self, GroupName};
use crate::system::PROVIDER;
use crate::text;

/// A group of this home.
pub(crate) struct Room {
    pub(crate) name: GroupName,
    pub(crate) group: Group,
}

impl Room {
    pub(crate) fn open(home: &Home, name: &GroupName) -> Result<Self, Failure> {
        let instance = names::find(home, name)?;
        Self::of_instance(home, name.clone(), instance)
    }

    pub(crate) fn of_instance(home: &Home, name: GroupName, instance: InstanceId) -> Result<Self, Failure> {
        let group = Group::open(&home.store, PROVIDER, instance)
            .map_err(|error| Failure::from(error).about(&name))?;
        Ok(Self { name, group })
    }

    /// The member at a leaf, as text.
    pub(crate) fn who(&self, leaf: LeafIndex) -> Result<String, Failure> {
        Ok(match self.group.member(leaf)? {
            Some(member) => credential_name(&member.leaf.credential),
            None => format!("leaf:{leaf}"),
        })
    }

    /// A sender, as text.
    pub(crate) fn sender(&self, sender: Sender) -> Result<String, Failure> {
        match sender {
            Sender::Member(leaf) => self.who(leaf),
            Sender::External(index) => Ok(format!("external sender {index}")),
            Sender::NewMemberProposal | Sender::NewMemberCommit => Ok("a new member".to_owned()),
        }
    }

    /// The member that was meant: by its name, or as `leaf:N`.
    pub(crate) fn member(&self, wanted: &str) -> Result<LeafIndex, Failure> {
        if let Some(number) = wanted.strip_prefix("leaf:").and_then(|number| number.parse().ok()) {
            let leaf = LeafIndex::new(number);
            return match self.group.member(leaf)? {
                Some(_) => Ok(leaf),
                None => Err(self.nobody(wanted)),
            };
        }
        let mut found = Vec::new();
        for member in self.group.members() {
            let member = member?;
            if is_called(&member.leaf.credential, wanted) {
                found.push(member.index);
            }
        }
        match found.as_slice() {
            [] => Err(self.nobody(wanted)),
            [leaf] => Ok(*leaf),
            leaves => {
                let leaves: Vec<_> = leaves.iter().map(|leaf| format!("leaf:{leaf}")).collect();
                Err(Failure::refused(format!(
                    "{} members are called `{}`",
                    leaves.len(),
                    text::name(wanted.as_bytes())
                ))
                .advise(format!("name one of {}", leaves.join(", "))))
            }
        }
    }

    fn nobody(&self, wanted: &str) -> Failure {
        Failure::refused(format!("nobody in `{}` is called `{}`", self.name, text::name(wanted.as_bytes())))
            .advise(format!("see `hushwood group members {}`", self.name.word()))
    }

    /// A group in which something can still be done.
    pub(crate) fn open_active(home: &Home, name: &GroupName) -> Result<Self, Failure> {
        let room = Self::open(home, name)?;
        match room.ended() {
            Some(failure) => Err(failure),
            None => Ok(room),
        }
    }

    /// Why nothing can be done here any more, and how it goes on.
    pub(crate) fn ended(&self) -> Option<Failure> {
        let ended = Failure::from(Error::from(NotNow::GroupEnded));
        let name = self.name.word();
        match self.group.status() {
            Status::Active => None,
            Status::Removed => {
                Some(ended.say(format!("you were removed from `{}`", self.name)).advise(format!(
                    "to come back, give a member a fresh `hushwood key-package`; to erase what is left here, \
                     `hushwood group forget {name} --yes`"
                )))
            }
            Status::Reinitialised(reinit) => Some(
                ended
                    .say(format!("`{}` has ended and is replaced by a new group", self.name))
                    .advise(successor_advice(&name, reinit.cipher_suite)),
            ),
        }
    }

    /// `active`, `reinitialised` or `removed`.
    pub(crate) fn status(&self) -> &'static str {
        match self.group.status() {
            Status::Active => "active",
            Status::Reinitialised(_) => "reinitialised",
            Status::Removed => "removed",
        }
    }

    /// A member as JSON.
    pub(crate) fn member_json(&self, leaf: LeafIndex) -> Result<Value, Failure> {
        Ok(json!({ "leaf": leaf.number(), "name": self.who(leaf)? }))
    }
}

/// How a group that was reinitialised goes on.
pub(crate) fn successor_advice(name: &str, suite: CipherSuiteId) -> String {
    format!(
        "all but one give that one a key package (`hushwood key-package --suite {}`), who starts the new group \
         (`hushwood reinit {name} NEWNAME KEYPACKAGE...`); the others join it by its Welcome",
        suite.0
    )
}

/// Who a credential names, safe to show.
pub(crate) fn credential_name(credential: &Credential) -> String {
    match credential {
        Credential::Basic { identity } => match text::name(identity) {
            // Nobody passes for somebody who has a certificate.
            name if name.starts_with(certificates::PREFIX) => name.replacen(':', "<003A>", 1),
            name => name,
        },
        Credential::X509 { .. } => certificates::name(credential),
        Credential::Custom { credential_type, .. } => format!("(credential of type {credential_type})"),
    }
}

/// True if a credential is the name, as it is or as it is shown.
pub(crate) fn is_called(credential: &Credential, name: &str) -> bool {
    match credential {
        Credential::Basic { identity } => identity == name.as_bytes() || credential_name(credential) == name,
        Credential::X509 { .. } => certificates::is_called(credential, name),
        Credential::Custom { .. } => false,
    }
}

/// What a leaf says of who is there.
pub(crate) fn claim(leaf: &LeafNode) -> Claim {
    Claim { credential: leaf.credential.clone(), signature_key: leaf.signature_key.clone() }
}
