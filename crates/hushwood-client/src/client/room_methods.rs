//! What a room of either client can do, written once as in [`methods`](super::methods).

/// The methods of a room.
macro_rules! room_methods {
    ([$($async:tt)?], [$($await:tt)*]) => {
        /// Its id.
        #[must_use]
        pub fn id(&self) -> &RoomId {
            &self.id
        }

        /// Its title. It came from outside.
        ///
        /// # Errors
        /// [`Error::NoRoom`].
        pub fn title(&self) -> Result<String, Error> {
            self.client.with_core(|core| core.title(&self.id))
        }

        /// Where it stands: whether we are in it, and can follow it.
        ///
        /// # Errors
        /// [`Error::NoRoom`].
        pub fn standing(&self) -> Result<Standing, Error> {
            self.client.with_core(|core| core.standing(&self.id))
        }

        /// Who is in it, as far as it was read.
        ///
        /// # Errors
        /// [`Error::Protocol`] if the store can't be read.
        pub fn members(&self) -> Result<Vec<Member>, Error> {
            self.client.with_core(|core| core.members(&self.id))
        }

        /// Who is in it, how well their keys are known, and when they were heard.
        ///
        /// # Errors
        /// [`Error::NoRoom`]; [`Error::Protocol`] if the store can't be read.
        pub fn contacts(&self) -> Result<Vec<Contact>, Error> {
            self.client.with_core(|core| core.contacts(&self.id))
        }

        /// A secret that all members can compute and nobody else (RFC 9420 §8.5), with the epoch that it is of: it changes with
        /// every epoch.
        ///
        /// # Errors
        /// [`Error::NoRoom`]; [`Error::Protocol`] if we are no member, if it is longer than 255 hashes, or if the store can't be
        /// read.
        pub fn export(&self, label: &str, context: &[u8], length: usize) -> Result<(u64, Secret), Error> {
            self.client.with_core(|core| {
                let group = core.group(&self.id)?;
                Ok((group.epoch(), group.export(label, context, length)?))
            })
        }

        /// What all members compare: of this epoch. Equal numbers mean that all share one state, and that nobody else is in it.
        ///
        /// # Errors
        /// [`Error::NoRoom`]; [`Error::NoSuite`]; [`Error::Protocol`] if we are no member, or the store can't be read.
        pub fn epoch_number(&self) -> Result<SafetyNumber, Error> {
            self.client.with_core(|core| core.epoch_number(&self.id))
        }

        /// Messages that were sent or read before a number of the log, the newest last.
        ///
        /// # Errors
        /// [`Error::Protocol`] if the store can't be read.
        pub fn history(&self, before: Option<u64>, most: usize) -> Result<Vec<Message>, Error> {
            self.client.with_core(|core| core.history(&self.id, before, most))
        }

        /// What has happened in this room and was not acknowledged, the oldest first. The service is not asked.
        ///
        /// # Errors
        /// [`Error::Protocol`] if the store can't be read.
        pub fn events(&self) -> Result<Vec<Event>, Error> {
            self.client.with_core(|core| core.events(Some(&self.id)))
        }

        /// Reads what is new in this room; what has happened is then among the [`events`](Self::events).
        ///
        /// # Errors
        /// [`Error`]: why it could not all be read.
        pub $($async)? fn sync(&self) -> Result<(), Error> {
            self.client.sync_of(Some(&self.id)) $($await)*
        }

        /// Adds all devices of a person.
        ///
        /// # Errors
        /// [`Error::NoSuchPerson`], [`Error::KeyChanged`], [`Error::Removed`], [`Error::Forked`], [`Error::Refused`]:
        /// it is not done and will not be. [`Error::Store`].
        pub $($async)? fn invite(&self, person: &str) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.invite(&self.id, person))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Removes all devices of a person.
        ///
        /// # Errors
        /// As [`invite`](Self::invite); [`Error::NotThere`].
        pub $($async)? fn remove(&self, person: &str) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.remove(&self.id, person))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Removes one device of a person.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn remove_device(&self, person: &str, device: DeviceId) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.remove_device(&self.id, person, device))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Removes the member with this key, who is not who they say.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn remove_key(&self, claim: &Claim) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.remove_key(&self.id, claim))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Says something. Where it can't be sent now it is kept and sent later: it must not be said again.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn send(&self, body: &[u8]) -> Result<(MessageId, Outcome), Error> {
            let (number, id) = self.client.with_core(|core| core.send(&self.id, body, Millis::now()))?;
            Ok((id, self.client.wait_for(&self.id, number) $($await)* ?))
        }

        /// Says something under a name that the caller keeps ([`new_message_id`]): said again under it, as after a crash, it is
        /// still said once.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        ///
        /// [`new_message_id`]: crate::Client::new_message_id
        pub $($async)? fn send_as(&self, id: MessageId, body: &[u8]) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.send_as(&self.id, id, body, Millis::now()))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Gives the room another title.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn set_title(&self, title: &str) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.set_title(&self.id, title, Millis::now()))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Makes new keys for ourselves.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn renew(&self) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.renew(&self.id))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Leaves: the others are asked to remove us.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn leave(&self) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.leave(&self.id))?;
            self.client.wait_for(&self.id, number) $($await)*
        }

        /// Forgets the room, with all that was said in it, if it is over for us, as [`Core::forget`].
        ///
        /// # Errors
        /// [`Error::Void`] if others are in the room: leave it first; [`Error::Protocol`]; [`Error::Store`].
        pub fn forget(self) -> Result<(), Error> {
            self.client.with_core(|core| core.forget(&self.id))
        }

        /// Comes back where the room can't be followed any more.
        ///
        /// # Errors
        /// As [`invite`](Self::invite).
        pub $($async)? fn rejoin(&self) -> Result<Outcome, Error> {
            let number = self.client.with_core(|core| core.rejoin(&self.id))?;
            self.client.wait_for(&self.id, number) $($await)*
        }
    };
}

pub(super) use room_methods;
