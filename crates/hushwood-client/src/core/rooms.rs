//! Rooms: made, driven, looked at.

use hushwood::error::Error as ProtocolError;
use hushwood::extension::Extensions;
use hushwood::group::{Group, GroupInfoOptions, NewGroup};
use hushwood_codec::Encode;
use hushwood_delivery::rules::Rules;
use hushwood_delivery::wire::{Call, CreateRequest, GroupKey};

use crate::content::Head;
use crate::core::answers::Purpose;
use crate::core::derive::Derived;
use crate::core::env::{DELIVERY, Env, GroupDelivery};
use crate::core::intent::Action;
use crate::core::room::{Room, numbered, proven_create, title_of, unsigned};
use crate::core::work::Work;
use crate::core::{Core, Request};
use crate::error::Error;
use crate::event::Message;
use crate::identity::{Member, member};
use crate::records::{RoomRecord, Standing, VERSION, corrupt, from_row, get, row, to_row};
use crate::room::RoomId;
use crate::settings::Millis;

/// The row with the request that brings a room to the service.
pub(super) const NEW: &str = "new";

/// The GroupInfo that the service gives to those who come from outside. The tree it has.
pub(super) const INFO: GroupInfoOptions = GroupInfoOptions { ratchet_tree: false, external_pub: true };

impl Core {
    /// Makes a room of our own. It is brought to the service when that can be reached.
    ///
    /// # Errors
    /// [`Error::Protocol`]; [`Error::Store`].
    pub fn create_room(&mut self, title: &str, now: Millis) -> Result<RoomId, Error> {
        self.create_room_with(title, Rules::default(), now)
    }

    /// The same with rules about who may do what. If they leave something to admins, we are one.
    ///
    /// ```
    /// use hushwood_client::{Rules, Who};
    ///
    /// // A small team: its admins say who is in it, and everybody speaks.
    /// let rules = Rules { add: Who::Admins, remove: Who::Admins, change: Who::Admins, ..Rules::default() };
    /// assert!(rules.need_admins());
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn create_room_with(&mut self, title: &str, mut rules: Rules, now: Millis) -> Result<RoomId, Error> {
        self.refresh()?;
        let own = self.env.claim().signature_key;
        if rules.need_admins() && !rules.admins.contains(&own) {
            rules.admins.push(own);
        }
        let mut work = Work::new();
        let room = self.env.new_room((None, &rules), title.as_bytes(), now, &mut work)?;
        let id = room.id.clone();
        self.persist(work)?;
        self.rooms.insert(id.clone(), room);
        Ok(id)
    }

    /// We are somebody else than was said when rooms were made that no service knows: they are made once more, under their ids.
    pub(super) fn make_rooms_anew(&mut self, mut work: Work) -> Result<(), Error> {
        let new = self.rooms.values().filter(|room| room.record.standing == Standing::New);
        let new: Vec<_> = new.map(|room| room.id.clone()).collect();
        for id in new {
            let Some(mut old) = self.rooms.remove(&id) else { continue };
            let group = old.take_group(&self.env)?;
            let rules = Rules::of(&group.context().extensions).map_err(ProtocolError::from)?;
            work.step(group.forget(&*self.env.store)?);
            work.erase_all(old.rows());
            let made = Millis(old.record.renewed.saturating_mul(1000));
            let mut room = self.env.new_room((Some(&id), &rules), &old.record.title, made, &mut work)?;
            room.queue = old.queue;
            self.rooms.insert(id, room);
        }
        self.persist(work)
    }

    /// The rooms that we are or were in.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.keys()
    }

    /// A room's title.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn title(&self, room: &RoomId) -> Result<String, Error> {
        Ok(title_of(&self.rooms.get(room).ok_or(Error::NoRoom)?.record))
    }

    /// Where a room stands.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn standing(&self, room: &RoomId) -> Result<Standing, Error> {
        Ok(self.rooms.get(room).ok_or(Error::NoRoom)?.record.standing)
    }

    /// Who is in a room, as far as the log was read.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Protocol`] if the store can't be read.
    pub fn members(&mut self, room: &RoomId) -> Result<Vec<Member>, Error> {
        let group = self.group(room)?;
        let members = group.members().map(|view| Ok(member(&view?.leaf.credential, group.suite())));
        members.collect()
    }

    /// The group behind a room, for what this crate does not show: exported keys, the epoch, the tree.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Protocol`] if the store can't be read.
    pub fn group(&mut self, room: &RoomId) -> Result<&Group, Error> {
        self.refresh()?;
        let room = self.rooms.get_mut(room).ok_or(Error::NoRoom)?;
        room.group(&self.env)
    }

    /// Messages of a room that were sent or read before this number of its log, the newest last.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Protocol`] if the store can't be read.
    pub fn history(
        &mut self,
        room: &RoomId,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<Message>, Error> {
        self.refresh()?;
        let room = self.rooms.get(room).ok_or(Error::NoRoom)?;
        let oldest = room.record.cursor.saturating_sub(self.env.settings.history);
        let newest = before.map_or(room.record.cursor, |before| before.saturating_sub(1));
        let mut messages = Vec::new();
        for sequence in (oldest..=newest.min(room.record.cursor)).rev() {
            if messages.len() >= most {
                break;
            }
            if let Some(row) = get(&*self.env.store, &numbered(room.rows(), b'h', sequence))? {
                messages.push(from_row::<Message>(&row)?);
            }
        }
        messages.reverse();
        Ok(messages)
    }

    /// What a room wants asked next.
    pub(super) fn poll_room(&mut self, id: &RoomId, now: Millis) -> Result<Option<Request>, Error> {
        loop {
            let is_logged_in = self.is_logged_in(now);
            let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
            match room.record.standing {
                Standing::New if is_logged_in => return self.request_create(id, now).map(Some),
                Standing::New => {
                    self.account.want_token();
                    return Ok(None);
                }
                Standing::Removed | Standing::Ended if room.queue.is_empty() => return Ok(None),
                Standing::Removed => {
                    self.give_up_all(id, &Error::Removed)?;
                    return Ok(None);
                }
                Standing::Ended => {
                    self.give_up_all(id, &Error::Ended)?;
                    return Ok(None);
                }
                Standing::Forked | Standing::Rejoining => return self.poll_rejoin(id, now),
                Standing::Active => {}
            }
            if room.paused.is_none() && (room.read_wanted > room.read_done || room.known > room.record.cursor)
            {
                let read = room.read_request(&self.env, now)?;
                let (wanted, after, known) = (room.read_wanted, read.after, room.known);
                let purpose = Purpose::Read { room: id.clone(), wanted, after, known };
                return Ok(Some(self.request(Call::Read(read), purpose)));
            }
            let Some(number) = self.next_intent(id, now) else {
                match self.want_of_our_own(id, now)? {
                    true => continue,
                    false => return Ok(None),
                }
            };
            match self.derive(number, now)? {
                Derived::Send => return self.request_intent(number, now).map(Some),
                Derived::Again => {}
                Derived::Wait => return Ok(None),
            }
        }
    }

    /// What is to be done next. An invitation that the service has put off for minutes holds up nothing that was wanted after
    /// it.
    fn next_intent(&self, id: &RoomId, now: Millis) -> Option<u64> {
        let is_put_off = |number: &u64| {
            self.intents.get(number).is_some_and(|intent| {
                matches!(intent.action, Action::Add { claimed: None, .. }) && intent.not_before > now.0
            })
        };
        self.rooms.get(id)?.queue.iter().copied().find(|number| !is_put_off(number))
    }

    /// The request that brings a room to the service: each time the same, to the byte, but for the proof.
    fn request_create(&mut self, id: &RoomId, now: Millis) -> Result<Request, Error> {
        let room = self.rooms.get(id).ok_or(Error::NoRoom)?;
        let create = get(&*self.env.store, &row(room.rows(), NEW))?.ok_or_else(corrupt)?;
        let create = proven_create(&self.env, from_row(&create)?, now)?;
        Ok(self.request(Call::CreateGroup(create), Purpose::Create { room: id.clone() }))
    }

    /// What has to be done without being asked for: proposals that wait, keys that are old.
    fn want_of_our_own(&mut self, id: &RoomId, now: Millis) -> Result<bool, Error> {
        let action = match self.is_our_turn(id, now)? {
            true => Action::CommitWaiting,
            false => {
                let (renew_after, room) = (self.env.settings.renew_after, self.room(id)?);
                let age = now.seconds().0.saturating_sub(room.record.renewed);
                match age > renew_after.as_secs() && room.backoff.trouble.is_none() {
                    true => Action::Renew,
                    false => return Ok(false),
                }
            }
        };
        let mut work = Work::new();
        self.put_intent(id, action, &mut work)?;
        self.persist(work)?;
        Ok(true)
    }
}

impl Env {
    /// A room of our own, with the request that brings it to the service.
    fn new_room(
        &mut self,
        (id, rules): (Option<&RoomId>, &Rules),
        title: &[u8],
        now: Millis,
        work: &mut Work,
    ) -> Result<Room, Error> {
        let key = GroupKey::new(self.random()?);
        let delivery = GroupDelivery { version: VERSION, key: key.clone() };
        let mut extensions = Extensions::new();
        extensions.set(DELIVERY, delivery.to_bytes().map_err(ProtocolError::from)?);
        if *rules != Rules::default() {
            rules.put(&mut extensions).map_err(ProtocolError::from)?;
        }
        let settings = NewGroup {
            group_id: id.map(|id| id.0.clone()),
            extensions,
            policy: self.policy.clone(),
            leaf_extensions: self.leaf_extensions(),
            ..NewGroup::new(self.suite(), self.credential(), self.supported())
        };
        let step = Group::create(settings, &*self.device.signer, now.seconds(), &mut *self.random)?;
        let group = work.step(step);
        let id = RoomId(group.group_id().to_vec());
        let mut room = Room::new(id, self.room_record(&group, key.clone(), now)?);
        room.record.standing = Standing::New;
        room.record.title = title.to_vec();
        let head = Head::of_epoch(group.suite(), (group.group_id(), 0, 0), group.epoch_authenticator()?);
        room.advance(head, work);
        room.put(work)?;
        let request = self.random()?;
        let group_info = group.group_info(INFO, &*self.device.signer, &mut *self.random)?;
        let (ratchet_tree, proof) = (group.ratchet_tree()?, unsigned(group.own_leaf().number()));
        let create = CreateRequest { request, key, group_info, ratchet_tree, proof };
        work.put(row(room.rows(), NEW), to_row(&create, 4096)?);
        room.group = Some(group);
        Ok(room)
    }

    /// The row of a new room.
    pub(super) fn room_record(
        &mut self,
        group: &Group,
        key: GroupKey,
        now: Millis,
    ) -> Result<RoomRecord, Error> {
        Ok(RoomRecord {
            version: VERSION,
            rows: self.random()?,
            instance: *group.instance().as_bytes(),
            title: Vec::new(),
            key,
            standing: Standing::Active,
            cursor: 0,
            chain: [0; 32],
            joined: group.epoch(),
            renewed: now.seconds().0,
        })
    }
}
