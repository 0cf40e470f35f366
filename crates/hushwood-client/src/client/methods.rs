//! What both clients can do, written once: for threads, and with `async` and `.await` for tasks.

/// The methods of a client whose rooms are `$Room`.
macro_rules! client_methods {
    ($Room:ident, [$($async:tt)?], [$($await:tt)*]) => {
        /// Begins with what the store has, or as a new device of this person. Nothing is asked of the service yet.
        ///
        /// # Errors
        /// [`Error::OtherIdentity`], [`Error::OtherSuite`]: the store is another's; [`Error::NoSuite`];
        /// [`Error::Protocol`] if the store can't be read; [`Error::Store`] if it can't be written.
        pub fn open(
            store: impl Store + 'static,
            provider: Provider,
            identity: &Identity,
            trust: Trust,
            delivery: T,
        ) -> Result<Self, Error> {
            Self::open_with(Box::new(store), provider, identity, trust, (Settings::default(), delivery))
        }

        /// [`open`](Self::open) with settings.
        ///
        /// # Errors
        /// As there.
        pub fn open_with(
            store: Box<dyn Store>,
            provider: Provider,
            identity: &Identity,
            trust: Trust,
            (settings, delivery): (Settings, T),
        ) -> Result<Self, Error> {
            let core = Core::open(store, provider, identity, trust, settings)?;
            Ok(Self { engine: Engine::new(core, delivery) })
        }

        /// Who we are.
        #[must_use]
        pub fn member(&self) -> Member {
            self.with_core(|core| core.member().clone())
        }

        /// What we show of ourselves in groups, for others to trust.
        #[must_use]
        pub fn claim(&self) -> Claim {
            self.with_core(|core| core.claim())
        }

        /// Makes a room. The service need not be at hand.
        ///
        /// # Errors
        /// [`Error::Protocol`]; [`Error::Store`].
        pub fn create_group(&self, title: &str) -> Result<$Room<T>, Error> {
            let id = self.with_core(|core| core.create_room(title, Millis::now()))?;
            Ok($Room { client: self.clone(), id })
        }

        /// The rooms that we are or were in.
        #[must_use]
        pub fn rooms(&self) -> Vec<$Room<T>> {
            let ids: Vec<_> = self.with_core(|core| core.rooms().cloned().collect());
            ids.into_iter().map(|id| $Room { client: self.clone(), id }).collect()
        }

        /// The room of this id.
        ///
        /// # Errors
        /// [`Error::NoRoom`].
        pub fn room(&self, id: &RoomId) -> Result<$Room<T>, Error> {
            self.with_core(|core| core.title(id))?;
            Ok($Room { client: self.clone(), id: id.clone() })
        }

        /// Reads what is new everywhere, and sends what waits, now. What has happened is then among the
        /// [`events`](Self::events), and comes out of [`wait`](Self::wait).
        ///
        /// # Errors
        /// [`Error`]: why it could not all be read. What was read is among the events.
        pub $($async)? fn sync(&self) -> Result<(), Error> {
            self.sync_of(None) $($await)*
        }

        /// Waits until something has happened, at most so long, and gives it, the oldest first: nothing, if nothing has. What waits
        /// to be sent is sent meanwhile.
        ///
        /// The service tells of news by a stream that this opens; where there is none, they are looked for from time to time
        /// ([`Settings::poll`]).
        ///
        /// Each event is given once by a client and its clones. It stays in the store until it is
        /// [acknowledged](Self::acknowledge): whatever is not is given again when the program begins anew.
        ///
        /// # Errors
        /// [`Error`]: when the time is over and nothing has happened, why it could not be seen whether something has.
        pub $($async)? fn wait(&self, time: Duration) -> Result<Vec<Event>, Error> {
            let goal = Engine::<T>::within(time, Wait::News, true, State::new_events);
            match self.drive(goal) $($await)* ? {
                Some(events) => events,
                None => self.engine.state().last_events(),
            }
        }

        /// What has happened and was not acknowledged, the oldest first, whether or not it was given before. The service is not
        /// asked.
        ///
        /// # Errors
        /// [`Error::Protocol`] if the store can't be read.
        pub fn events(&self) -> Result<Vec<Event>, Error> {
            self.with_core(|core| core.events(None))
        }

        /// These events are dealt with and are forgotten. Until then each is kept, and is given again after a restart: acknowledge
        /// an event when what it tells is where the application keeps it, and be ready to see one twice.
        ///
        /// # Errors
        /// [`Error::Store`]: they will come again.
        pub fn acknowledge<E: Borrow<Event>>(&self, events: impl IntoIterator<Item = E>) -> Result<(), Error> {
            let numbers: Vec<u64> = events.into_iter().map(|event| event.borrow().number).collect();
            self.with_core(|core| core.acknowledge(numbers))
        }

        /// Invitations that wait for a decision, with the rooms that they are to, the oldest first.
        #[must_use]
        pub fn invitations(&self) -> Vec<(RoomId, Invitation)> {
            self.with_core(|core| core.invitations())
        }

        /// Follows an invitation: we are in the room afterwards, or an event says why not.
        ///
        /// # Errors
        /// As [`sync`](Self::sync); [`Error::Void`] if there is no such invitation any more.
        pub $($async)? fn accept(&self, id: InvitationId) -> Result<(), Error> {
            self.with_core(|core| core.accept_invitation(id))?;
            self.sync_of(None) $($await)*
        }

        /// Forgets an invitation. Who has invited us is told nothing.
        ///
        /// # Errors
        /// [`Error::Void`] if there is no such invitation any more; [`Error::Store`].
        pub fn refuse(&self, id: InvitationId) -> Result<(), Error> {
            self.with_core(|core| core.refuse_invitation(id))
        }

        /// The user says that this key is whose it says it is: they have compared numbers. What waited for it goes on.
        ///
        /// # Errors
        /// [`Error::Store`].
        pub fn trust(&self, claim: &Claim) -> Result<(), Error> {
            self.with_core(|core| core.trust(claim))
        }

        /// The user takes this key for whose it says it is, and has compared nothing: it is [`Known::Seen`](crate::Known::Seen). What
        /// waited for it goes on.
        ///
        /// # Errors
        /// [`Error::Store`].
        pub fn accept_key(&self, claim: &Claim) -> Result<(), Error> {
            self.with_core(|core| core.accept_key(claim))
        }

        /// The user says that this key is not whose it says it is ([`Core::distrust`]).
        ///
        /// # Errors
        /// [`Error::Store`].
        pub fn distrust(&self, claim: &Claim) -> Result<(), Error> {
            self.with_core(|core| core.distrust(claim))
        }

        /// A key that was not believed, by whose it is said to be, for [`trust`](Self::trust) and its like.
        #[must_use]
        pub fn doubted(&self, member: &Member) -> Option<Claim> {
            self.with_core(|core| core.doubted(member).cloned())
        }

        /// What people compare over another channel before they [trust](Self::trust) a key: of a key that somebody shows, or of
        /// our own [`claim`](Self::claim).
        ///
        /// # Errors
        /// [`Error::NoSuite`] if no suite of the provider has SHA-512; [`Error::Protocol`].
        pub fn safety_number(&self, claim: &Claim) -> Result<SafetyNumber, Error> {
            self.with_core(|core| core.safety_number(claim))
        }

        /// A name for a message that is to be said once, whatever happens: for `send_as` of a room.
        ///
        /// # Errors
        /// [`Error::Protocol`] if there is no randomness.
        pub fn new_message_id(&self) -> Result<MessageId, Error> {
            self.with_core(Core::new_message_id)
        }

        /// This is another device of a person that has one. To be said right after [`open`](Self::open) of a new store; then
        /// [`link_request`](Self::link_request) says what to show to the other device.
        ///
        /// # Errors
        /// [`Error::Void`] if the device is registered; [`Error::Store`].
        pub fn link(&self) -> Result<(), Error> {
            self.with_core(Core::link)
        }

        /// What to show to another device of the same person, after [`link`](Self::link), for its
        /// [`authorize`](Self::authorize): the service is asked for something to sign. It is good for a few minutes.
        ///
        /// # Errors
        /// [`Error`]: why it could not be asked in this time; [`Error::Void`] if this device is linked already.
        pub $($async)? fn link_request(&self, time: Duration) -> Result<Vec<u8>, Error> {
            let done = |state: &mut State| state.core.link_request().transpose();
            let goal = Engine::<T>::within(time, Wait::Yes, false, done);
            match self.drive(goal) $($await)* ? {
                Some(shown) => shown,
                None => {
                    let why = self.with_core(|core| core.trouble(None).cloned());
                    Err(why.unwrap_or(Error::Void("this device is linked already")))
                }
            }
        }

        /// Agrees that the device which shows this belongs to our account. Gives what it needs to know, for its
        /// [`linked`](Self::linked).
        ///
        /// Whoever has it can read what we can: be sure which device it is that shows it.
        ///
        /// # Errors
        /// [`Error::Void`] for something that is no request; [`Error::Protocol`]; [`Error::Store`].
        pub fn authorize(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
            self.with_core(|core| core.authorize(request))
        }

        /// Takes what the other device has answered: this one belongs to the account afterwards.
        ///
        /// # Errors
        /// [`Error::Void`] for something that is no answer to what was shown; [`Error::OtherIdentity`]; as
        /// [`sync`](Self::sync).
        pub $($async)? fn linked(&self, answer: &[u8]) -> Result<(), Error> {
            self.with_core(|core| core.linked(answer))?;
            self.sync_of(None) $($await)*
        }

        /// Brings all devices of ours into all rooms of ours, as after a new one was linked.
        ///
        /// # Errors
        /// [`Error::Store`]; as [`sync`](Self::sync).
        pub $($async)? fn invite_own_devices(&self) -> Result<(), Error> {
            self.with_core(Core::invite_own_devices)?;
            self.sync_of(None) $($await)*
        }

        /// The devices of our account, as the service knows them.
        ///
        /// # Errors
        /// [`Error`]: why it could not be asked.
        pub $($async)? fn devices(&self) -> Result<Vec<OwnDevice>, Error> {
            self.with_core(Core::want_devices);
            let goal = self.engine.patiently(false, |state: &mut State| state.core.devices());
            match self.drive(goal) $($await)* ? {
                Some(devices) => Ok(devices),
                None => {
                    let why = self.with_core(|core| core.trouble(None).cloned());
                    Err(why.unwrap_or(Error::Void("the service knows no account of this device yet")))
                }
            }
        }

        /// Takes a device out of our account and of all our rooms: it was lost, or is somebody else's now. The service and the
        /// rooms are asked until it is done, across restarts.
        ///
        /// # Errors
        /// [`Error::NoSuchDevice`]; [`Error::Void`] for this device; [`Error::Store`].
        pub $($async)? fn revoke(&self, device: DeviceId) -> Result<Outcome, Error> {
            let number = self.with_core(|core| core.revoke(device))?;
            self.outcome(None, number) $($await)*
        }

        /// The machine behind it, for what this does not show. Nothing else goes on meanwhile.
        pub fn with_core<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
            f(&mut self.engine.state().core)
        }

        $($async)? fn sync_of(&self, room: Option<&RoomId>) -> Result<(), Error> {
            let sync = self.with_core(Core::want_sync);
            let done = |state: &mut State| state.core.is_synced(sync, room).then_some(());
            let goal = self.engine.patiently(true, done);
            match self.drive(goal) $($await)* ? {
                Some(()) => Ok(()),
                None => {
                    let why = self.with_core(|core| core.trouble(room).cloned());
                    Err(why.unwrap_or(Error::BadAnswer("there is always more to read")))
                }
            }
        }

        $($async)? fn wait_for(&self, room: &RoomId, number: u64) -> Result<Outcome, Error> {
            self.outcome(Some(room), number) $($await)*
        }

        $($async)? fn outcome(&self, room: Option<&RoomId>, number: u64) -> Result<Outcome, Error> {
            let goal = self.engine.patiently(false, |state: &mut State| state.core.result(number));
            match self.drive(goal) $($await)* ? {
                Some(result) => result.map(Outcome::Done),
                None => {
                    let why = self.with_core(|core| core.trouble(room).cloned());
                    Ok(Outcome::Kept { intent: number, why })
                }
            }
        }
    };
}

pub(super) use client_methods;
