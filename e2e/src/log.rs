//! The logs in the service's database, and who is in each room after each commit: by following the handshakes, as an observer.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hushwood::credential::{Credential, CredentialCheck, Verdict, Verdicts};
use hushwood::group::GroupView;
use hushwood::policy::{Policy, Timestamp};
use hushwood::public_group::{Observed, ObservedCommit, PublicGroup};
use hushwood::tree::LeafIndex;
use hushwood_aws_lc::{OsRandom, PROVIDER};
use hushwood_delivery::backend::{Backend, Kinds, PageLimit, Reading};

use crate::history::{Digest, Entry, Kind, Log, Members, Room};
use crate::tap::{Seen, digest, kind};

/// The logs of all rooms that were seen, as the database has them. What the service seals there is known by its hash where
/// somebody has sent or read it.
///
/// # Errors
/// If the database can't be read, or a handshake in it can't be followed.
pub async fn logs(backend: &dyn Backend, seen: &Seen) -> Result<BTreeMap<Room, Log>> {
    let mut known: BTreeMap<(&Room, u64), Digest> = BTreeMap::new();
    for accepted in &seen.accepted {
        known.insert((&accepted.room, accepted.sequence), accepted.digest);
    }
    for page in &seen.pages {
        for (sequence, _, _, digest) in &page.entries {
            known.insert((&page.room, *sequence), *digest);
        }
    }
    let mut logs = BTreeMap::new();
    for (room, (info, tree)) in &seen.founded {
        let group = hex::decode(room)?;
        let Some(entries) =
            entries(backend, &group, |sequence| known.get(&(room, sequence)).copied()).await?
        else {
            // It was asked for and never made: whoever asked has never had an answer.
            continue;
        };
        let log = follow((info.as_slice(), tree.as_slice()), entries, seen)
            .with_context(|| format!("following {room}"))?;
        logs.insert(room.clone(), log);
    }
    Ok(logs)
}

async fn entries(
    backend: &dyn Backend,
    group: &[u8],
    known: impl Fn(u64) -> Option<Digest>,
) -> Result<Option<Vec<Entry>>> {
    let mut entries = Vec::new();
    loop {
        let after = u64::try_from(entries.len())?;
        let reading = Reading { kinds: Kinds::All, after, slot: None };
        let limit = PageLimit { entries: 500, bytes: 8 << 20 };
        let Some(page) = backend.read(group, reading, limit).await? else { return Ok(None) };
        if page.entries.is_empty() {
            return Ok(Some(entries));
        }
        for entry in page.entries {
            let (sequence, kind) = (entry.sequence, kind(entry.kind));
            // Messages are kept as they came, handshakes are sealed.
            let digest = match kind {
                Kind::Message => Some(digest(&entry.body)),
                Kind::Commit | Kind::Proposal => known(sequence),
            };
            entries.push(Entry { sequence, kind, epoch: entry.epoch, digest, members: None });
        }
    }
}

fn follow((info, tree): (&[u8], &[u8]), mut entries: Vec<Entry>, seen: &Seen) -> Result<Log> {
    let policy = Policy::default();
    let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let view = GroupView::verify(info, Some(tree), &PROVIDER, (&policy, now), &mut OsRandom)?;
    let verdicts = all(view.checks());
    let mut group = PublicGroup::new(view, &verdicts)?;
    let mut people = BTreeMap::new();
    for member in group.members() {
        let member = member?;
        people.insert(member.index, (name(&member.leaf.credential)?, group.epoch()));
    }
    let (epoch, members) = (group.epoch(), members(&people));
    for entry in entries.iter_mut().filter(|entry| entry.kind != Kind::Message) {
        let bytes = entry.digest.and_then(|digest| seen.handshakes.get(&digest));
        let Some(bytes) = bytes else { bail!("nobody has seen the handshake {}", entry.sequence) };
        match group.receive(bytes, now, &mut OsRandom)? {
            Observed::Proposal(observed) => {
                let verdicts = all(observed.checks());
                group.accept_proposal(observed, &verdicts)?;
            }
            Observed::Commit(observed) => {
                change(&mut people, &observed)?;
                let verdicts = all(observed.checks());
                group.accept_commit(*observed, &verdicts)?;
                entry.members = Some(self::members(&people));
            }
        }
    }
    Ok(Log { epoch, members, entries })
}

/// Who is at which leaf, since which epoch.
type People = BTreeMap<LeafIndex, (String, u64)>;

fn change(people: &mut People, observed: &ObservedCommit) -> Result<()> {
    let change = observed.change();
    for (leaf, _) in &change.removed {
        people.remove(leaf);
    }
    let mut new = change.added.clone();
    if !people.contains_key(&change.committer) {
        // From outside.
        new.push(change.committer);
    }
    for leaf in new {
        let node = observed.tree().leaf(leaf)?.context("nobody is where somebody was added")?;
        people.insert(leaf, (name(&node.credential)?, change.epoch));
    }
    Ok(())
}

fn members(people: &People) -> Members {
    people.values().cloned().collect()
}

/// `name/device`, without the device: here everybody has one.
fn name(credential: &Credential) -> Result<String> {
    let Credential::Basic { identity } = credential else { bail!("a member who is not a bot") };
    let identity = std::str::from_utf8(identity)?;
    Ok(identity.split_once('/').map_or(identity, |(name, _)| name).to_owned())
}

fn all(checks: &[CredentialCheck]) -> Verdicts {
    Verdicts(vec![Verdict::Accept; checks.len()])
}
