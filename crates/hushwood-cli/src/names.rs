//! Local names of groups. A group's id is random and says nothing; the name is this home's own.

use std::path::Path;

use hushwood::error::{Error, StoreReadError};
use hushwood::transition::InstanceId;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::Secret;

use crate::failure::Failure;
use crate::home::{Home, Rows};
use crate::text;

const PREFIX: &str = "name/";
const VERSION: u8 = 1;

wire_struct! {
    /// What a name stands for.
    #[derive(Clone, Debug, Eq, PartialEq)]
    struct NameRow {
        version: u8,
        instance: [u8; 16],
    }
}

/// A valid name: it begins file names, so it is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GroupName(String);

impl GroupName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a word of a command, for advice that is copied into a shell.
    pub(crate) fn word(&self) -> String {
        text::shell_word(&self.0)
    }

    /// The name of a file of this group.
    pub(crate) fn file(&self, epoch: u64, extension: &str) -> String {
        format!("{}-{epoch}.{extension}", self.0)
    }

    /// The default name for a group that is joined by this file: its name up to the last `-`.
    pub(crate) fn of_file(path: Option<&Path>) -> Result<Self, Failure> {
        let stem = path.and_then(Path::file_stem).and_then(|stem| stem.to_str());
        let name = stem.map(|stem| stem.rsplit_once('-').map_or(stem, |(name, _)| name));
        let name = name.filter(|name| !name.is_empty()).map(str::parse).transpose();
        match name {
            Ok(Some(name)) => Ok(name),
            Ok(None) | Err(_) => Err(Failure::usage("the file's name gives no name for the group")
                .advise("choose one with `--name NAME`")),
        }
    }
}

impl std::str::FromStr for GroupName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let bad =
            |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
        if name.is_empty() || name.len() > 100 {
            return Err("a name has 1 to 100 bytes".to_owned());
        }
        if name.chars().any(bad) || name.starts_with(['-', '.', ' ']) || name.ends_with([' ', '.']) {
            return Err(
                "a name begins file names: no `/ \\ : * ? \" < > |`, no `-` or `.` in front".to_owned()
            );
        }
        // What can't be seen in a name can't be typed either.
        if text::name(name.as_bytes()) != name {
            return Err("a name has no characters that can't be seen, and no two spaces in a row".to_owned());
        }
        Ok(Self(name.to_owned()))
    }
}

impl std::fmt::Display for GroupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text::name(self.0.as_bytes()))
    }
}

/// The group that a name stands for.
pub(crate) fn find(home: &Home, name: &GroupName) -> Result<InstanceId, Failure> {
    lookup(home, name)?.ok_or_else(|| {
        Failure::refused(format!("there is no group `{name}` here")).advise(format!(
            "see `hushwood group list`, or join with `hushwood join FILE --name {}`",
            name.word()
        ))
    })
}

fn lookup(home: &Home, name: &GroupName) -> Result<Option<InstanceId>, Failure> {
    home.row(&format!("{PREFIX}{}", name.0))?.map(|row| decode(&row)).transpose()
}

/// All names and what they stand for.
pub(crate) fn all(home: &Home) -> Result<Vec<(GroupName, InstanceId)>, Failure> {
    home.rows(PREFIX)?.into_iter().map(|(name, row)| Ok((GroupName(name), decode(&row)?))).collect()
}

/// The name of a group.
pub(crate) fn of(home: &Home, instance: InstanceId) -> Result<Option<GroupName>, Failure> {
    Ok(all(home)?.into_iter().find(|(_, named)| *named == instance).map(|(name, _)| name))
}

/// What a new group is to be called, and what it takes the place of.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: GroupName,
    pub(crate) replaced: Option<Replaced>,
}

/// The state of a group that a newer one replaces.
#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    pub(crate) name: Option<GroupName>,
    pub(crate) instance: InstanceId,
}

impl Place {
    /// The place of a group of which this home has nothing yet.
    pub(crate) fn new(name: GroupName) -> Self {
        Self { name, replaced: None }
    }
}

/// Refuses a name that is taken.
pub(crate) fn check_free(home: &Home, name: &GroupName) -> Result<(), Failure> {
    match lookup(home, name)? {
        None => Ok(()),
        Some(_) => Err(Failure::refused(format!("there is a group `{name}` here already"))
            .advise("choose another name (where you join, with `--name NAME`)")),
    }
}

/// Gives a name, in place of what it stood for.
pub(crate) fn put(rows: &mut Rows, name: &GroupName, instance: InstanceId) -> Result<(), Failure> {
    let row = NameRow { version: VERSION, instance: *instance.as_bytes() };
    rows.put(&format!("{PREFIX}{}", name.0), Secret::new(row.to_bytes().map_err(Error::from)?));
    Ok(())
}

/// Takes a name away.
pub(crate) fn erase(rows: &mut Rows, name: &GroupName) {
    rows.erase(&format!("{PREFIX}{}", name.0));
}

fn decode(row: &Secret) -> Result<InstanceId, Failure> {
    match NameRow::from_bytes(row.expose()) {
        Ok(NameRow { version: VERSION, instance }) => Ok(InstanceId::new(instance)),
        Ok(_) | Err(_) => Err(StoreReadError::Corrupt.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_after_the_file_it_is_joined_by() {
        let name = |path: &str| GroupName::of_file(Some(Path::new(path))).map(|name| name.0).ok();
        assert_eq!(name("tea-0.welcome").as_deref(), Some("tea"));
        assert_eq!(name("/mail/green-tea-12.welcome").as_deref(), Some("green-tea"));
        assert_eq!(name("tea.welcome").as_deref(), Some("tea"));
        assert_eq!(name("-0.welcome"), None);
        assert!(GroupName::of_file(None).is_err());
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        for bad in
            ["", "a/b", "..", "-n", "a\nb", "c:", "x ", "a\u{202e}b", "a\u{200b}", "a  b", &"n".repeat(101)]
        {
            assert!(bad.parse::<GroupName>().is_err(), "{bad:?}");
        }
        for good in ["tea", "green tea", "grün", "a-b.c"] {
            assert!(good.parse::<GroupName>().is_ok(), "{good:?}");
        }
    }
}
