//! What the recording provider tells of: every secret that goes through a primitive.

use std::io::{self, Read, Write};

/// What was done, and how its parts are to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Salt, parts of the input keying material, the result.
    Extract,
    /// The key, the info, the result.
    Expand,
    /// The input keying material, the private key, the public key.
    KeyPair,
    /// The public key, the shared secret.
    Encap,
    /// The private key, the shared secret.
    Decap,
    /// The private key, the Diffie-Hellman result.
    Agree,
    /// Key, nonce, plaintext.
    Seal,
    /// Key, nonce, plaintext.
    Open,
    /// Key and nonce that did not open.
    Refused,
    /// A step of the client is over: whether it was made, and what came of it.
    Done,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Extract,
        Self::Expand,
        Self::KeyPair,
        Self::Encap,
        Self::Decap,
        Self::Agree,
        Self::Seal,
        Self::Open,
        Self::Refused,
        Self::Done,
    ];

    fn number(self) -> u8 {
        u8::try_from(Self::ALL.iter().position(|kind| *kind == self).unwrap()).unwrap()
    }
}

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What was done.
    pub kind: Kind,
    /// With what, and what came of it.
    pub parts: Vec<Vec<u8>>,
}

impl Event {
    /// An event with copies of these parts.
    #[must_use]
    pub fn of(kind: Kind, parts: &[&[u8]]) -> Self {
        Self { kind, parts: parts.iter().map(|part| part.to_vec()).collect() }
    }

    /// The part that came of it.
    #[must_use]
    pub fn result(&self) -> &[u8] {
        self.parts.last().map_or(&[], Vec::as_slice)
    }

    /// Reads one event.
    ///
    /// # Errors
    /// The stream has ended, or is none of ours.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 2];
        from.read_exact(&mut head)?;
        let kind = *Kind::ALL.get(usize::from(head[0])).ok_or(io::ErrorKind::InvalidData)?;
        let mut lengths = vec![0; 4 * usize::from(head[1])];
        from.read_exact(&mut lengths)?;
        let part = |length: &[u8]| {
            let length = u32::from_le_bytes(length.try_into().unwrap());
            let mut part = vec![0; usize::try_from(length).unwrap()];
            from.read_exact(&mut part).map(|()| part)
        };
        let parts = lengths.chunks(4).map(part).collect::<io::Result<_>>()?;
        Ok(Self { kind, parts })
    }
}

/// Writes an event from where its parts are: no copy of a secret is made on the way.
///
/// # Errors
/// Those of the stream.
pub fn write(to: &mut impl Write, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
    to.write_all(&[kind.number(), u8::try_from(parts.len()).unwrap()])?;
    for part in parts {
        to.write_all(&u32::try_from(part.len()).unwrap().to_le_bytes())?;
    }
    parts.iter().try_for_each(|part| to.write_all(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let mut stream = Vec::new();
        for kind in Kind::ALL {
            write(&mut stream, kind, &[b"one", b"", &[7; 300]]).unwrap();
        }
        let mut stream = stream.as_slice();
        for kind in Kind::ALL {
            assert_eq!(Event::read(&mut stream).unwrap(), Event::of(kind, &[b"one", b"", &[7; 300]]));
        }
        assert!(Event::read(&mut stream).is_err());
    }
}
