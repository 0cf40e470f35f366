//! RFC 9420 §2.1: encoding.

use std::fmt;

use crate::{Element, EncodeError};

/// The most bytes a vector can hold: the largest value of a 4-byte length header (RFC 9420 §2.1.2).
pub const MAX_VECTOR_LENGTH: usize = (1 << 30) - 1;

/// A value that has an encoding.
pub trait Encode {
    /// Appends the encoding to the writer.
    fn encode(&self, writer: &mut Writer);

    /// The encoding as bytes.
    ///
    /// # Errors
    /// [`EncodeError`] if a vector is longer than [`MAX_VECTOR_LENGTH`].
    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::with_capacity(ROOM);
        self.encode(&mut writer);
        writer.finish()
    }
}

/// Bytes being encoded.
///
/// Encoding itself can't fail; a vector that is too long is remembered and told by
/// [`finish`](Self::finish), so that no caller can miss it and none has to ask at every field.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    overflow: bool,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), overflow: false }
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends so many zeros.
    pub fn zeros(&mut self, length: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().saturating_add(length), 0);
        self
    }

    /// Appends a value.
    pub fn value(&mut self, value: &(impl Encode + ?Sized)) -> &mut Self {
        value.encode(self);
        self
    }

    /// Appends `opaque name<V>`.
    pub fn opaque(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len());
        self.raw(bytes)
    }

    /// Appends `opaque name<V>` whose bytes are those of several pieces in a row.
    pub fn opaque_parts(&mut self, parts: &[&[u8]]) -> &mut Self {
        self.length(parts.iter().fold(0, |sum, part| sum.saturating_add(part.len())));
        for part in parts {
            self.raw(part);
        }
        self
    }

    /// Appends what `write` writes, preceded by its length.
    pub fn nested(&mut self, write: impl FnOnce(&mut Self)) -> &mut Self {
        // The length is not known before the content is: write behind a place for the longest header,
        // then close the gap if the header is shorter.
        let start = self.bytes.len();
        let content = start.saturating_add(LONGEST_HEADER);
        self.raw(&[0; LONGEST_HEADER]);
        write(self);
        let length = self.bytes.len().saturating_sub(content);
        let (header, size) = self.header(length);
        let header = header.get(LONGEST_HEADER.saturating_sub(size)..).unwrap_or_default();
        if let Some(place) = self.bytes.get_mut(start..start.saturating_add(size)) {
            place.copy_from_slice(header);
        }
        self.bytes.drain(start.saturating_add(size)..content);
        self
    }

    /// Appends a vector `T name<V>`.
    pub fn vector<'t, T: Encode + 't>(&mut self, elements: impl IntoIterator<Item = &'t T>) -> &mut Self {
        self.nested(|writer| {
            for element in elements {
                element.encode(writer);
            }
        })
    }

    /// Appends a length header of minimal size (RFC 9420 §2.1.2, C006).
    pub fn length(&mut self, length: usize) {
        let (header, size) = self.header(length);
        let header = header.get(LONGEST_HEADER.saturating_sub(size)..).unwrap_or_default();
        self.bytes.extend_from_slice(header);
    }

    /// The header for `length`, right-aligned, and its size.
    fn header(&mut self, length: usize) -> ([u8; LONGEST_HEADER], usize) {
        let value = match u32::try_from(length) {
            Ok(value) if length <= MAX_VECTOR_LENGTH => value,
            _ => {
                self.overflow = true;
                0
            }
        };
        match value {
            0..=0x3f => (value.to_be_bytes(), 1),
            0x40..=0x3fff => ((value | 0x4000).to_be_bytes(), 2),
            _ => ((value | 0x8000_0000).to_be_bytes(), 4),
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True while nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoding.
    ///
    /// # Errors
    /// [`EncodeError`] if a vector was longer than [`MAX_VECTOR_LENGTH`] (C007).
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match self.overflow {
            false => Ok(self.bytes),
            true => Err(EncodeError),
        }
    }
}

/// The bytes may be those of secrets.
impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

const LONGEST_HEADER: usize = 4;
/// Bytes in which most encodings fit: a buffer that grows from nothing would move them five times.
const ROOM: usize = 256;

impl Encode for u8 {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&[*self]);
    }
}

impl Encode for u16 {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.to_be_bytes());
    }
}

impl Encode for u32 {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.to_be_bytes());
    }
}

impl Encode for u64 {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.to_be_bytes());
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(self);
    }
}

/// `opaque name<V>`.
impl Encode for Vec<u8> {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(self);
    }
}

/// `T name<V>`.
impl<T: Encode + Element> Encode for Vec<T> {
    fn encode(&self, writer: &mut Writer) {
        writer.vector(self);
    }
}

/// `optional<T>` (RFC 9420 §2.1.1).
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, writer: &mut Writer) {
        match self {
            None => writer.raw(&[0]),
            Some(value) => writer.raw(&[1]).value(value),
        };
    }
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encode(&self, writer: &mut Writer) {
        T::encode(self, writer);
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, writer: &mut Writer) {
        T::encode(self, writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decode;

    #[test]
    fn length_headers_are_minimal_at_every_boundary() {
        let header = |length| {
            let mut writer = Writer::new();
            writer.length(length);
            writer.finish()
        };
        assert_eq!(header(0), Ok(vec![0]));
        assert_eq!(header(63), Ok(vec![63]));
        assert_eq!(header(64), Ok(vec![0x40, 64]));
        assert_eq!(header(16_383), Ok(vec![0x7f, 0xff]));
        assert_eq!(header(16_384), Ok(vec![0x80, 0, 0x40, 0]));
        assert_eq!(header(MAX_VECTOR_LENGTH), Ok(vec![0xbf, 0xff, 0xff, 0xff]));
        assert_eq!(header(MAX_VECTOR_LENGTH + 1), Err(EncodeError));
    }

    #[test]
    fn nested_content_gets_the_header_of_its_length() {
        for length in [0, 1, 63, 64, 65, 16_383, 16_384, 70_000] {
            let mut nested = Writer::new();
            nested.raw(b"x").nested(|w| {
                w.raw(&vec![7; length]);
            });
            let mut flat = Writer::new();
            flat.raw(b"x").opaque(&vec![7; length]);
            assert_eq!(nested.finish(), flat.finish());
        }
    }

    #[test]
    fn vectors_and_options_decode_to_themselves() {
        let value: Vec<Option<Vec<u8>>> = vec![None, Some(vec![]), Some(vec![1; 100])];
        assert_eq!(Vec::from_bytes(&value.to_bytes().unwrap()), Ok(value));
    }
}
